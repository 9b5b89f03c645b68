import assert from "node:assert/strict";
import fc from "fast-check";
import {
  MEDIA,
  parseManifest,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  decodeOrderManifest,
  decodePins,
  decodeRecording,
  encodeOrderManifest,
  encodePins,
  encodeRecording,
  isWorkload,
  ORDER_MEDIA,
  OrderError,
  orderFacts,
  type OrderManifest,
  PLAN_LIMITS,
} from "../../../../lib/formats/order/mod.ts";
import { recording } from "./fixture.ts";

const digestOf = (text: string) => sha256(new TextEncoder().encode(text));
const MANIFEST: OrderManifest = {
  workload: "web",
  platform: "linux/amd64",
  plan: { mediaType: ORDER_MEDIA.plan, digest: digestOf("plan"), size: 900 },
  packs: [
    { mediaType: ORDER_MEDIA.pack, digest: digestOf("pack"), size: 90_000 },
  ],
  subject: { mediaType: MEDIA.ociManifest, digest: digestOf("image"), size: 7 },
};

Deno.test("a load order's manifest is an OCI artifact, and is read as it was written", () => {
  const bytes = encodeOrderManifest(MANIFEST);
  assert.deepEqual(decodeOrderManifest(bytes), MANIFEST);
  const { subject, artifactType, config } = parseManifest(bytes);
  assert.equal(subject?.digest, MANIFEST.subject!.digest);
  assert.equal(artifactType, ORDER_MEDIA.artifact);
  assert.equal(config.mediaType, "application/vnd.oci.empty.v1+json");
  const { subject: _, ...pinned } = MANIFEST;
  assert.deepEqual(decodeOrderManifest(encodeOrderManifest(pinned)), pinned);
});

Deno.test("a manifest that is none of a load order is refused", () => {
  const refused: OrderManifest[] = [
    { ...MANIFEST, plan: MANIFEST.packs[0]! },
    { ...MANIFEST, packs: [MANIFEST.plan] },
    {
      ...MANIFEST,
      packs: Array(PLAN_LIMITS.packs + 1).fill(MANIFEST.packs[0]),
    },
    {
      ...MANIFEST,
      plan: { ...MANIFEST.plan, size: PLAN_LIMITS.planBytes + 1 },
    },
  ];
  for (const manifest of refused) {
    const bytes = encodeOrderManifest(manifest);
    assert.throws(() => decodeOrderManifest(bytes), OrderError);
  }
  const bytes = encodeOrderManifest(MANIFEST);
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    assert.throws(() => decodeOrderManifest(cut), OrderError);
  }
});

Deno.test("a workload without a name, or with a bad one, is the default one", () => {
  assert.equal(orderFacts(undefined).workload, "default");
  const key = "soci-deno.load-order.workload";
  assert.equal(orderFacts({ [key]: "Web Server" }).workload, "default");
  assert.equal(orderFacts({ [key]: "web-1.2" }).workload, "web-1.2");
  assert(!isWorkload("a".repeat(65)) && !isWorkload("-a") && !isWorkload("a="));
});

Deno.test("pins are read as they were written, and what is no pin is passed over", () => {
  const pins = ["default", "web"].map((workload) => ({
    workload,
    digest: digestOf(workload),
  }));
  const value = encodePins(pins);
  assert.deepEqual(decodePins(value), pins);
  assert.deepEqual(
    decodePins(`x ${value} b=sha256:1 C=${pins[0]!.digest}`),
    pins,
  );
  assert.deepEqual(decodePins(pins[0]!.digest), [pins[0]]);
  assert.deepEqual(decodePins(undefined), []);
  const many = Array.from({ length: 40 }, () => pins[1]!);
  assert.equal(
    decodePins(many.map((pin) => encodePins([pin])).join(" ")).length,
    16,
  );
});

Deno.test("a recording is read as it was written", () => {
  fc.assert(fc.property(recording, (one) => {
    assert.deepEqual(decodeRecording(encodeRecording(one)), one);
  }));
});

Deno.test("a changed recording is refused, or holds touches inside its layers", () => {
  fc.assert(
    fc.property(
      recording,
      fc.array(fc.tuple(fc.nat(), fc.nat(127)), { minLength: 1, maxLength: 3 }),
      fc.nat(),
      (one, flips, cut) => {
        const bytes = encodeRecording(one);
        for (const [at, value] of flips) bytes[at % bytes.length] = value;
        for (const tried of [bytes, bytes.subarray(0, cut % bytes.length)]) {
          try {
            const { touches, layers, runs } = decodeRecording(tried);
            for (const touch of touches) {
              assert(touch.layer < layers.length && touch.length >= 1);
              assert(touch.offset + touch.length <= 2 ** 40);
              assert(touch.runs >= 1 && touch.runs <= runs);
            }
          } catch (error) {
            assert(error instanceof OrderError, String(error));
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});
