/** Messages between the main isolate and an inflate Worker. @module */
import type { SpanHeaders } from "./headers.ts";

/** How a span's bytes are packed: from a checkpoint on, in whole frames, or not at all. */
export type SpanPacking =
  | {
    readonly kind: "gzip";
    readonly bits: number;
    readonly window: Uint8Array<ArrayBuffer>;
  }
  | { readonly kind: "zstd" }
  | { readonly kind: "uncompressed" };

/** Bytes of a span that came ahead of it by a start pack, in memory that isolates share. */
export interface PackedBytes {
  /** Data file that they are in. */
  readonly fd: number;
  /** Where each range begins in it. */
  readonly starts: Float64Array;
  /** Where it ends. */
  readonly ends: Float64Array;
  /** `PRESENT` where it is here. Does not change while the span is being inflated. */
  readonly states: Uint8Array;
}

/** What to do with a span's bytes. */
export interface InflateWork {
  /**
   * Data file; shared by all threads of the process, open until the answer is here. null: the bytes
   * are not written.
   */
  readonly fd: number | null;
  /** Of the compressed bytes; null: the bytes are those of a proven tar. */
  readonly digest: string | null;
  /** How the span is packed. The window is transferred. */
  readonly packing: SpanPacking;
  /** Uncompressed bytes of the span. */
  readonly size: number;
  /** Their offset, in the data file and in the tar. */
  readonly offset: number;
  /** The tar headers it must hold; null: not checked. Open until the answer is here. */
  readonly headers: SpanHeaders | null;
  /** What came ahead of it: compared before it is replaced; null: nothing. */
  readonly packed: PackedBytes | null;
}

/** To a Worker. Bytes are transferred. Each `whole` and each `last` piece is answered. */
export type InflateRequest =
  /** A span that has arrived. */
  | {
    readonly kind: "whole";
    readonly id: number;
    readonly work: InflateWork;
    readonly compressed: Uint8Array<ArrayBuffer>;
  }
  /** A span that is arriving: its bytes follow in pieces. */
  | { readonly kind: "begin"; readonly id: number; readonly work: InflateWork }
  | {
    readonly kind: "piece";
    readonly id: number;
    readonly compressed: Uint8Array<ArrayBuffer>;
  }
  | {
    readonly kind: "last";
    readonly id: number;
    readonly compressed: Uint8Array<ArrayBuffer>;
    /** In place of the work's: more may have come since it was begun. */
    readonly packed: PackedBytes | null;
  }
  /** The rest will not come. */
  | { readonly kind: "drop"; readonly id: number }
  /** A span that an earlier process wrote: its checksum is asked for. */
  | { readonly kind: "sum"; readonly id: number; readonly part: FilePart };

/** Bytes of a file; open until the answer is here. */
export interface FilePart {
  /** Shared by all threads of the process. */
  readonly fd: number;
  /** Where they begin. */
  readonly offset: number;
  /** How many they are. */
  readonly size: number;
}

/** What the bytes of a file are. */
export type SumOutcome =
  /** They could be read, and this is their CRC-32. */
  | { readonly kind: "sum"; readonly sum: number }
  /** The file ends before. */
  | { readonly kind: "short" }
  /** The disk gives an error; or the Worker broke down, which says nothing about the bytes. */
  | { readonly kind: "unreadable" | "worker"; readonly detail: string };

/** The outcome for a span. */
export type InflateOutcome =
  | {
    /** The bytes are in the data file. */
    readonly kind: "written";
    /** Their CRC-32. */
    readonly sum: number;
    /** Where bytes that came ahead of the span were others; null: nowhere. */
    readonly packLie: number | null;
  }
  /** The bytes are right but could not be written; this message carries them. */
  | {
    readonly kind: "unwritten";
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly detail: string;
    /** As for `written`. */
    readonly packLie: number | null;
  }
  /** The bytes must not be used. For `worker`, it is not known whether they are right. */
  | {
    readonly kind: "digest" | "inflate" | "header" | "worker";
    readonly detail: string;
  };

/** The answer to a request. */
export interface InflateResult {
  readonly id: number;
  readonly outcome: InflateOutcome | SumOutcome;
}
