/**
 * Messages between the main isolate and an indexing Worker. A Worker indexes one layer at a time: it
 * gets `start`, reads the ring or the units that come with it to their end without looking at other
 * messages, and answers with `done`, `failed` or, if the sender gave up, `dropped`.
 * @module
 */
import type { WindowBytes, ZtocCompression } from "../../formats/ztoc/mod.ts";
import type { RingMemory } from "../../host/threads/mod.ts";
import type { ComingLayer } from "./units.ts";

/** To the Worker. */
export interface ToIndexer {
  /** One layer. */
  readonly kind: "start";
  /** How the blob is packed. */
  readonly compression: ZtocCompression;
  /** Least uncompressed bytes of a span. */
  readonly spanSizeBytes: number;
  /** Written into the ztoc. */
  readonly buildTool: string;
  /** Whether the tar is hashed. */
  readonly diffId: "compute" | "skip";
  /** What is kept of windows. */
  readonly windows: WindowBytes;
  /** Path of a new file that gets the layer's tar; null: none does. */
  readonly data: string | null;
  /** What comes: the blob's bytes through a ring, or the units of a gzip layer into files. */
  readonly from: RingMemory | ComingLayer;
}

/** From the Worker. */
export type FromIndexer =
  | { readonly kind: "done"; readonly layer: IndexedLayer }
  | { readonly kind: "dropped" }
  | {
    readonly kind: "failed";
    readonly reason: IndexingReason;
    readonly message: string;
  };

/**
 * Why a layer cannot be indexed:
 * - `damaged`: its bytes are broken, cut short or not of the format they claim.
 * - `sparse`: it holds a sparse file, whose bytes in the tar are not those of the file.
 * - `unsupported`: the ztoc format cannot describe what it holds.
 * - `unservable`: its entries make no file tree; containerd could not unpack it either.
 * - `too-large`: it exceeds one of our limits.
 * - `disk`: its tar cannot be written.
 * - `internal`: a bug, or a fault of the machine.
 */
export type IndexingReason =
  | "damaged"
  | "sparse"
  | "unsupported"
  | "unservable"
  | "too-large"
  | "disk"
  | "internal";

/** What one pass over a layer yields. */
export interface IndexedLayer {
  /** The serialised ztoc. */
  readonly ztoc: Uint8Array<ArrayBuffer>;
  /** `sha256:…` of the bytes that went in. */
  readonly digest: string;
  /** `sha256:…` of the whole uncompressed stream; null if it was not requested. */
  readonly diffId: string | null;
  /** How many spans the layer has. */
  readonly spanCount: number;
  /** How many entries the layer has, directories and links counted. */
  readonly entryCount: number;
  /** Bytes of the layer blob. */
  readonly compressedSizeBytes: number;
  /** Bytes of the tar. */
  readonly uncompressedSizeBytes: number;
}
