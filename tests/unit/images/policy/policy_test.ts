import assert from "node:assert/strict";
import {
  isSlowToGain,
  smallLayerBytes,
  startCosts,
} from "../../../../lib/images/policy/cost_model.ts";
import { decide } from "../../../../lib/images/policy/decide.ts";
import { LineSpeeds } from "../../../../lib/images/lazy/line_speeds.ts";
import {
  type PolicyFacts,
  policyOf,
} from "../../../../lib/images/policy/policy.ts";

const MIB = 2 ** 20;
const RULES = {
  patterns: [["r.example/batch/*", "eager"], ["r.example/**", "auto"]],
  labels: ["r.example/heard/*"],
  smallBytes: 10 * MIB,
  mayBeWhole: true,
} as const;
const FACTS: PolicyFacts = {
  repository: { host: "other.example", repository: "app" },
  snapshotLabel: null,
  imageLabel: null,
  sizeBytes: 100 * MIB,
};
const at = (repository: string, more: Partial<PolicyFacts> = {}) =>
  policyOf(RULES, {
    ...FACTS,
    repository: { host: "r.example", repository },
    ...more,
  });

Deno.test("a pod's annotation that is heard goes before labels", () => {
  const labels = { snapshotLabel: "complete", podAnnotation: "eager" };
  assert.deepEqual(at("heard/app", labels), {
    policy: "eager",
    from: "pod annotation",
  });
  assert.equal(at("team/app", labels).from, "pattern");
  const other = { ...labels, podAnnotation: "fast" };
  assert.equal(at("heard/app", other).from, "snapshot label");
});

Deno.test("a label that is heard goes before the first pattern that fits, that before the size", () => {
  const labels = { snapshotLabel: "complete", imageLabel: "lazy" };
  assert.deepEqual(at("heard/app", labels), {
    policy: "complete",
    from: "snapshot label",
  });
  assert.deepEqual(at("heard/app", { ...labels, snapshotLabel: null }), {
    policy: "lazy",
    from: "image label",
  });
  assert.deepEqual(at("batch/app", { ...labels, sizeBytes: 1 }), {
    policy: "eager",
    from: "pattern",
  });
  assert.equal(at("team/app").policy, "auto");
  assert.deepEqual(policyOf(RULES, { ...FACTS, sizeBytes: MIB }), {
    policy: "eager",
    from: "size",
  });
  assert.deepEqual(policyOf(RULES, FACTS), { policy: "lazy", from: "default" });
});

Deno.test("a label that names no policy says nothing", () => {
  const labels = { snapshotLabel: "fast", imageLabel: "__proto__" };
  assert.equal(at("heard/app", labels).from, "pattern");
});

Deno.test("a small image is slow to gain, a large one over the same line is not", () => {
  const line = { roundTripMs: 1, bytesPerMs: 125_000, cores: 2 };
  const small = startCosts({ layers: [20 * MIB], ztocs: 0.5 * MIB }, line);
  assert.ok(isSlowToGain(small), JSON.stringify(small));
  const large = startCosts({ layers: [400 * MIB], ztocs: 8 * MIB }, line);
  assert.ok(!isSlowToGain(large), JSON.stringify(large));
});

Deno.test("the farther the registry, the larger an image that is sooner whole; the slower the line, the smaller", () => {
  const image = { layers: [60 * MIB], ztocs: MIB };
  const near = { roundTripMs: 1, bytesPerMs: 125_000, cores: 4 };
  assert.ok(!isSlowToGain(startCosts(image, near)));
  assert.ok(isSlowToGain(startCosts(image, { ...near, roundTripMs: 150 })));
  const little = { layers: [12 * MIB], ztocs: MIB };
  assert.ok(isSlowToGain(startCosts(little, near)));
  assert.ok(!isSlowToGain(startCosts(little, { ...near, bytesPerMs: 2_000 })));
});

Deno.test("one long layer takes one core, many take all of them; an image without an index is never lazy", () => {
  const line = { roundTripMs: 1, bytesPerMs: 10 ** 9, cores: 4 };
  const one = startCosts({ layers: [400 * MIB], ztocs: null }, line);
  const four = startCosts(
    { layers: new Array(4).fill(100 * MIB), ztocs: null },
    line,
  );
  assert.ok(one.wholeMs > 3.5 * four.wholeMs);
  assert.equal(one.lazyMs, Infinity);
  assert.ok(isSlowToGain(one));
});

Deno.test("a layer is small when its bytes come in a moment, within bounds", () => {
  assert.equal(
    smallLayerBytes({ roundTripMs: 5, bytesPerMs: 12_500 }),
    125_000,
  );
  assert.equal(smallLayerBytes({ roundTripMs: 0, bytesPerMs: 1 }), 65_536);
  assert.equal(
    smallLayerBytes({ roundTripMs: 1_000, bytesPerMs: 10 ** 6 }),
    4 * MIB,
  );
});

Deno.test("nothing is taken whole where the kernel cannot show it", () => {
  const decided = decide(
    { ...RULES, mayBeWhole: false },
    {
      ...FACTS,
      repository: { host: "r.example", repository: "batch/app" },
      layers: [MIB],
      ztocs: 1000,
    },
    { roundTripMs: 1, bytesPerMs: 0, cores: 2 },
  );
  assert.deepEqual(decided, {
    ...{ policy: "eager", from: "pattern" },
    ...{ taken: "lazily", costs: null },
  });
});

Deno.test("a host's speed is that of all its layers together, over a moment and some MiB at least", () => {
  const speeds = new LineSpeeds();
  let now = 0;
  const clock = () => now;
  using one = speeds.begin("host", clock);
  using other = speeds.begin("host", clock);
  one.came(8 * MIB);
  assert.equal(speeds.bytesPerMs("host"), 0, "one piece says nothing");
  now = 256;
  other.came(8 * MIB);
  assert.equal(speeds.bytesPerMs("host"), 65_536);
  now = 512;
  one.came(MIB);
  assert.equal(speeds.bytesPerMs("host"), 65_536, "nor do a few bytes");
  now = 768;
  one.came(47 * MIB);
  assert.equal(speeds.bytesPerMs("host"), (65_536 + 98_304) / 2);
  assert.equal(speeds.bytesPerMs("another"), 0);
});

Deno.test("small images that come one after another teach nothing of the line", () => {
  const speeds = new LineSpeeds();
  let now = 0;
  for (let i = 0; i < 20; i++) {
    using layer = speeds.begin("host", () => now);
    now += 1000;
    layer.came(MIB);
  }
  assert.equal(speeds.bytesPerMs("host"), 0);
});
