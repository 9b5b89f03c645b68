import type { Digest } from "../oci/mod.ts";

/** Bytes of one layer's uncompressed tar. */
export interface OrderRange {
  /** Which of the order's layers, from 0. */
  readonly layer: number;
  /** The first byte in the uncompressed tar. */
  readonly offset: number;
  /** Bytes; at least 1. */
  readonly length: number;
}

/** A blob of frames, one behind the other. */
export interface OrderPack {
  /** Of the blob. */
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
}

/** One independent zstd frame: the bytes of some ranges that follow one another in the order. */
export interface PackFrame {
  /** Which of the order's packs holds it, from 0. */
  readonly pack: number;
  /** Where it begins in the pack. */
  readonly offset: number;
  /** Its bytes in the pack. */
  readonly compressedLength: number;
  /** The bytes that it unpacks to: the sum of its ranges. */
  readonly length: number;
  /** Of its compressed bytes: they are checked before anything reads them. */
  readonly digest: Digest;
  /** The first of its ranges, an index into the order's. */
  readonly firstRange: number;
  /** How many ranges it holds; at least 1. */
  readonly rangeCount: number;
}

/**
 * What a workload reads first, in order. The first ranges may lie in frames; ranges behind those of the
 * last frame are an order alone: somebody has to fetch their spans.
 */
export interface LoadOrder {
  /** Digests of the layers that ranges count in. */
  readonly layers: readonly Digest[];
  /** In the order of use; no byte is in two of them. */
  readonly ranges: readonly OrderRange[];
  /** None in a plan of order alone. The first is the image's own, others may be those of a base image. */
  readonly packs: readonly OrderPack[];
  /** In the order of use. */
  readonly frames: readonly PackFrame[];
}

/** What a reader takes at most; a plan over one of them is refused whole. */
export interface PlanLimits {
  /** Bytes of the plan. */
  readonly planBytes: number;
  /** Layers it may name. */
  readonly layers: number;
  /** Packs it may name. */
  readonly packs: number;
  /** Frames of all packs. */
  readonly frames: number;
  /** Ranges. */
  readonly ranges: number;
  /** Bytes that one frame unpacks to. */
  readonly frameBytes: number;
  /** Bytes of all ranges. */
  readonly totalBytes: number;
}

/** The limits of `docs/load-order.md`. */
export const PLAN_LIMITS: PlanLimits = {
  planBytes: 2 * 2 ** 20,
  layers: 4096,
  packs: 16,
  frames: 16_384,
  ranges: 65_536,
  frameBytes: 2 ** 20,
  totalBytes: 2 ** 30,
};

/** The end of the last byte of a layer that a range may hold. */
export const MAX_LAYER_OFFSET = 2 ** 40;

/** The most compressed bytes of a frame of so many: what zstd makes of bytes that do not compress, and some. */
export function maxCompressedBytes(length: number): number {
  return length + (length >>> 7) + 512;
}
