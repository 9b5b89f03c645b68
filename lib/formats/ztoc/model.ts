import type { Digest } from "../oci/mod.ts";
import type { TarEntryType } from "../tar/mod.ts";
import { ZtocError } from "./errors.ts";

/** One file of the layer. Names are raw bytes as the tar has them, not cleaned. */
export interface ZtocEntry {
  /** The path as the tar has it. */
  readonly name: Uint8Array;
  /** What the entry makes. */
  readonly type: TarEntryType;
  /** Where the data begins in the uncompressed tar. */
  readonly offset: number;
  /** Bytes of data. */
  readonly size: number;
  /** Target of a symbolic or hard link. */
  readonly linkname: Uint8Array;
  /** The tar header's mode field. */
  readonly mode: number;
  /** Owner as the tar numbers it. */
  readonly uid: number;
  /** Group as the tar numbers it. */
  readonly gid: number;
  /** Owner's name; empty where the tar has none. */
  readonly uname: Uint8Array;
  /** Group's name; empty where the tar has none. */
  readonly gname: Uint8Array;
  /** RFC 3339, or empty for times it cannot write; see `parseModTime`. */
  readonly modTime: string;
  /** Of a device: the major number. */
  readonly devMajor: number;
  /** Of a device: the minor number. */
  readonly devMinor: number;
  /** Every PAX record of the entry, in key order (the format's name for them misleads). */
  readonly xattrs: ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>;
}

/** How the layer blob is packed. */
export type ZtocCompression = "gzip" | "uncompressed" | "zstd";

/** What a ztoc says of a layer as a whole, and where the stream can be entered. */
export interface ZtocHead {
  /** `0.9` in all that were ever written; not checked, as the existing reader does not. */
  readonly version: string;
  /** Who made it; equal bytes need an equal name here (`BUILD_TOOL`). */
  readonly buildTool: string;
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Bytes of the tar up to the end of its end marker. */
  readonly uncompressedSize: number;
  /** How the layer blob is packed, and so what `checkpoints` holds. */
  readonly compression: ZtocCompression;
  /** Of each span's bytes in the blob. */
  readonly spanDigests: readonly Digest[];
  /** Where spans begin: see `decodeCheckpoints`, `decodeTarSpans` and `decodeFrameSpans`. */
  readonly checkpoints: Uint8Array;
}

/** The table of contents of one layer: its files, and where the stream can be entered. */
export interface Ztoc extends ZtocHead {
  /** In tar order. */
  readonly entries: readonly ZtocEntry[];
}

/** How much a ztoc holds. */
export interface ZtocOutline {
  /** Files it lists. */
  readonly entries: number;
  /** Digests of spans. */
  readonly spans: number;
  /** Bytes of its checkpoints: 32 KiB a span where the layer is compressed. */
  readonly checkpointBytes: number;
}

/** The format version we write. */
export const ZTOC_VERSION = "0.9";
/** The identifier the existing tools write; with it equal layers give equal ztocs. */
export const BUILD_TOOL = "AWS SOCI CLI v0.2";
/** The span size the existing tools use when none is said: 4 MiB, uncompressed. */
export const DEFAULT_SPAN_SIZE_BYTES = 4 * 2 ** 20;
/** The largest ztoc we read or write. */
export const MAX_ZTOC_BYTES = 256 * 2 ** 20;
/**
 * The most bytes of one span, compressed or not: each is held in memory as a whole, several at a time.
 * Sixteen times what tools make by default.
 */
export const MAX_SPAN_BYTES = 64 * 2 ** 20;
/**
 * The most spans of one layer: a terabyte in spans of the default size. All layers of a machine share
 * memory for 16 million.
 */
export const MAX_SPANS = 2 ** 18;
/** The most entries of one layer. */
export const MAX_ENTRIES = 2 ** 21;

/** Bounds a span, of a ztoc that is read and of one that is made. @throws ZtocError */
export function checkSpanSize(span: number, bytes: number): void {
  if (bytes <= MAX_SPAN_BYTES) return;
  throw new ZtocError(
    "too-large",
    -1,
    `span ${span} has ${bytes} bytes, over ${MAX_SPAN_BYTES}: the span size, or one block of the gzip stream, is too large`,
  );
}
