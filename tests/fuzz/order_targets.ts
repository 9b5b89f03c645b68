/** Load orders from outside: plans, frames, recordings and manifests. @module */
import assert from "node:assert/strict";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import {
  decodeOrderManifest,
  decodePlan,
  decodeRecording,
  encodeOrderManifest,
  encodePlan,
  encodeRecording,
  type LoadOrder,
  ORDER_MEDIA,
  OrderError,
  packFrame,
  unpackFrame,
} from "../../lib/formats/order/mod.ts";
import { taken } from "./outcome.ts";
import type { Target } from "./targets.ts";

const CONTENT = new TextEncoder().encode(
  "what a start reads first ".repeat(40),
);
const LAYERS = [1, 2].map((n) => sha256(Uint8Array.of(n)));

function sampleOrder(): LoadOrder {
  const { bytes, digest } = packFrame(CONTENT);
  return {
    layers: LAYERS,
    ranges: [
      { layer: 1, offset: 512, length: 600 },
      { layer: 0, offset: 2 ** 33, length: CONTENT.length - 600 },
      { layer: 1, offset: 0, length: 100 },
    ],
    packs: [{ digest, size: bytes.length }],
    frames: [{
      pack: 0,
      offset: 0,
      compressedLength: bytes.length,
      length: CONTENT.length,
      digest,
      firstRange: 0,
      rangeCount: 2,
    }],
  };
}

/** What reads load orders. */
export const ORDER_TARGETS: readonly Target[] = [
  {
    name: "order-plan",
    seeds: () => [
      encodePlan(sampleOrder()),
      encodePlan({ ...sampleOrder(), packs: [], frames: [] }),
    ],
    read: (bytes) =>
      taken([OrderError], () => {
        const again = encodePlan(decodePlan(bytes));
        assert.equal(sha256(again), sha256(bytes), "a plan has one form");
      }),
  },
  {
    name: "order-frame",
    seeds: () => [packFrame(CONTENT).bytes, packFrame(new Uint8Array(9)).bytes],
    read: (bytes) =>
      taken([OrderError], () => {
        const frame = { digest: sha256(bytes), length: CONTENT.length };
        assert.equal(unpackFrame(frame, bytes).length, frame.length);
      }),
  },
  {
    name: "order-recording",
    seeds: () => [
      encodeRecording({
        image: "registry.example/app:1",
        workload: "web",
        platform: "linux/amd64",
        runs: 2,
        layers: LAYERS,
        touches: sampleOrder().ranges.map((range, i) => ({
          ...{ ...range, ms: i * 3.5, waitedMs: i, runs: 1 + i % 2 },
        })),
      }),
    ],
    read: (bytes) =>
      taken([OrderError], () => {
        const read = decodeRecording(bytes);
        assert.equal(
          decodeRecording(encodeRecording(read)).touches.length,
          read.touches.length,
        );
      }),
  },
  {
    name: "order-manifest",
    seeds: () => [
      encodeOrderManifest({
        workload: "web",
        platform: "linux/amd64",
        plan: { mediaType: ORDER_MEDIA.plan, digest: LAYERS[0]!, size: 900 },
        packs: [{ mediaType: ORDER_MEDIA.pack, digest: LAYERS[1]!, size: 9 }],
      }),
    ],
    read: (bytes) =>
      taken([OrderError], () => {
        const read = decodeOrderManifest(bytes);
        assert.deepEqual(decodeOrderManifest(encodeOrderManifest(read)), read);
      }),
  },
];
