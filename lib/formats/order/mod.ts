/**
 * Load order: which bytes of an image a workload reads first. A *recording* is what starts were seen to
 * read; a *plan* is the compact list of ranges made of it; a *pack* is exactly those bytes, in frames.
 * `docs/load-order.md` is the specification. Layers are named by digest and ranges count in the
 * uncompressed tar, so nothing here depends on how an index cut the layer.
 *
 * Nothing here needs a permission. Plans, packs, manifests and recordings are untrusted: every length,
 * count and offset is bounded, and what a decoder gives is consistent. Whether a plan may be believed is
 * not decided here.
 *
 * @example
 * ```ts
 * import { decodePlan, encodePlan, packFrame, rangesOfFrame, unpackFrame } from "./mod.ts";
 * import { sha256 } from "../oci/mod.ts";
 * import assert from "node:assert/strict";
 *
 * const bytes = new TextEncoder().encode("what is read first");
 * const frame = packFrame(bytes);
 * const plan = encodePlan({
 *   layers: [sha256(new Uint8Array(3))],
 *   ranges: [{ layer: 0, offset: 512, length: bytes.length }],
 *   packs: [{ digest: frame.digest, size: frame.bytes.length }],
 *   frames: [{
 *     pack: 0,
 *     offset: 0,
 *     compressedLength: frame.bytes.length,
 *     length: bytes.length,
 *     digest: frame.digest,
 *     firstRange: 0,
 *     rangeCount: 1,
 *   }],
 * });
 * const order = decodePlan(plan);
 * const first = order.frames[0]!;
 * const ranges = rangesOfFrame(order, first, unpackFrame(first, frame.bytes));
 * assert.deepEqual(ranges[0]!.bytes.length, 18);
 * ```
 *
 * The rest of an artifact: {@link encodeOrderManifest}, {@link decodeOrderManifest}, {@link orderFacts}
 * and {@link orderAnnotations} for its manifest; {@link encodePins} and {@link decodePins} for what a SOCI
 * index v2 names; {@link encodeRecording} and {@link decodeRecording}; {@link ORDER_MEDIA},
 * {@link ORDER_ANNOTATION}, {@link DEFAULT_WORKLOAD}, {@link isWorkload}, {@link PLAN_LIMITS},
 * {@link FRAME_BYTES}, {@link MAX_RECORDING_BYTES}, {@link MAX_TOUCHES}.
 * @module
 */
export { OrderError, type OrderErrorCode } from "./errors.ts";
export {
  FRAME_BYTES,
  type PackedFrame,
  packFrame,
  rangesOfFrame,
  type UnpackedRange,
  unpackFrame,
} from "./frames.ts";
export {
  type Content,
  decodeOrderManifest,
  encodeOrderManifest,
  orderAnnotations,
  orderFacts,
  type OrderManifest,
} from "./manifest.ts";
export {
  DEFAULT_WORKLOAD,
  isWorkload,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
  WORKLOAD_CONFIG_LABEL,
} from "./media_types.ts";
export {
  type LoadOrder,
  type OrderPack,
  type OrderRange,
  type PackFrame,
  PLAN_LIMITS,
  type PlanLimits,
} from "./model.ts";
export { decodePins, encodePins, type OrderPin } from "./pins.ts";
export { decodePlan, encodePlan } from "./plan.ts";
export {
  decodeRecording,
  encodeRecording,
  MAX_RECORDING_BYTES,
  MAX_TOUCHES,
  type OrderTouch,
  type Recording,
} from "./recording.ts";
