import assert from "node:assert/strict";
import fc from "fast-check";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeRecording,
  encodeRecording,
  OrderError,
  type Recording,
} from "../../../../lib/formats/order/mod.ts";
import { mergeRecordings } from "../../../../lib/images/order/merge.ts";
import { recordingOf } from "../../../../lib/images/order/recording_of.ts";
import { recording } from "../../formats/order/fixture.ts";

const digest = (name: string) => sha256(new TextEncoder().encode(name));

/** A recording of one run: `layer:offset+length` in order, at 1, 2, 3 … ms. */
function run(layers: string[], ...touches: string[]): Recording {
  return {
    image: "a:1",
    workload: "default",
    platform: "linux/amd64",
    runs: 1,
    layers: layers.map(digest),
    touches: touches.map((text, i) => {
      const [layer, offset, length] = text.split(/[:+]/);
      return {
        layer: layers.indexOf(layer!),
        offset: Number(offset),
        length: Number(length),
        ms: i + 1,
        waitedMs: 0,
        runs: 1,
      };
    }),
  };
}

function told({ touches, layers }: Recording, names: string[]): string[] {
  const name = (layer: number) =>
    names.find((one) => digest(one) === layers[layer]);
  return touches.map(({ layer, offset, length, runs }) =>
    `${name(layer)}:${offset}+${length} ×${runs}`
  );
}

Deno.test("what most runs touched is kept, in the order of its median rank", () => {
  const merged = mergeRecordings([
    run(["x", "y"], "x:0+10", "y:0+10", "x:100+10"),
    run(["x", "y"], "y:0+10", "x:0+10", "x:500+10"),
    run(["y", "x"], "x:0+10", "y:0+5", "x:100+10", "y:900+1"),
  ], { minSupport: 0.5 });
  assert.equal(merged.runs, 3);
  assert.deepEqual(told(merged, ["x", "y"]), [
    "x:0+10 ×3",
    "y:0+5 ×3",
    "y:5+5 ×2",
    "x:100+10 ×2",
  ]);
});

Deno.test("layers are known by digest: a base recorded in another image counts", () => {
  const merged = mergeRecordings([
    run(["app", "base"], "base:0+10", "app:0+4"),
    run(["other", "base"], "base:0+10", "other:0+4"),
  ], { minSupport: 1, workload: "both" });
  assert.equal(merged.workload, "both");
  assert.deepEqual(told(merged, ["app", "base", "other"]), ["base:0+10 ×2"]);
});

Deno.test("a recording of several runs weighs as many", () => {
  const three = mergeRecordings(
    Array.from({ length: 3 }, () => run(["x"], "x:0+10", "x:50+10")),
    { minSupport: 0.5 },
  );
  const merged = mergeRecordings([three, run(["x"], "x:200+10")], {
    minSupport: 0.5,
  });
  assert.equal(merged.runs, 4);
  assert.deepEqual(told(merged, ["x"]), ["x:0+10 ×3", "x:50+10 ×3"]);
});

Deno.test("recordings of different platforms are not merged", () => {
  const other = { ...run(["x"], "x:0+1"), platform: "linux/arm64" };
  assert.throws(
    () => mergeRecordings([run(["x"], "x:0+1"), other], { minSupport: 0 }),
    OrderError,
  );
});

Deno.test("a recording merged with itself touches the same bytes, each once", () => {
  fc.assert(fc.property(recording, fc.integer({ min: 1, max: 3 }), (one, n) => {
    const same = {
      ...one,
      touches: one.touches.map((t) => ({ ...t, runs: one.runs })),
    };
    const merged = mergeRecordings(Array(n).fill(same), { minSupport: 1 });
    const bytes = (of: Recording) =>
      of.touches.flatMap(({ layer, offset, length }) => [
        `${of.layers[layer]} ${offset}`,
        `${of.layers[layer]} ${offset + length}`,
      ]);
    // Neighbours may have become one; no byte is in two, and none is lost.
    const all = new Set(bytes(same));
    assert(bytes(merged).every((edge) => all.has(edge)));
    const sum = ({ touches }: Recording) =>
      touches.reduce((sum, { length }) => sum + length, 0);
    assert.equal(sum(merged), sum(same));
    assert.deepEqual(
      decodeRecording(encodeRecording(merged)).touches.length,
      merged.touches.length,
    );
  }));
});

Deno.test("of each read a recording keeps what none before it touched", () => {
  const one = recordingOf({
    image: "a:1",
    workload: "default",
    platform: "linux/amd64",
    layers: [digest("x"), digest("y")],
    startMs: 1000,
    // One that waited is told late, and began early.
    reads: [
      [0, 4096, 8192, 1002, 0],
      [1, 0, 4096, 1003, 0],
      [0, 0, 16_384, 1004, 0],
      [0, 4096, 4096, 1001, 50],
      [0, 0, 4096, 1005, 0],
    ],
  });
  assert.deepEqual(
    one.touches.map((
      { layer, offset, length, ms, waitedMs },
    ) => [layer, offset, length, ms, waitedMs]),
    [
      [0, 4096, 4096, 1, 50],
      [0, 8192, 4096, 2, 0],
      [1, 0, 4096, 3, 0],
      [0, 0, 4096, 4, 0],
      [0, 12_288, 4096, 4, 0],
    ],
  );
});
