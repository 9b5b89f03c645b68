import { WINDOW_BYTES } from "../deflate/mod.ts";
import { ZtocError } from "./errors.ts";
import { FlatBufferReader } from "./flatbuffer_reader.ts";
import { FlatBufferWriter } from "./flatbuffer_writer.ts";
import { MAX_ZTOC_BYTES } from "./model.ts";
import { TAR_ZINFO } from "./schema.ts";

/** A place where a gzip stream can be entered. */
export interface ZtocCheckpoint {
  /** Offset in the blob of the first whole byte. */
  readonly in: number;
  /** Offset in the uncompressed stream. */
  readonly out: number;
  /** 0 to 7: how many high bits of the byte before `in` belong here too. */
  readonly bits: number;
  /** The 32 KiB of uncompressed bytes before `out`, zeros where there are fewer. */
  readonly window: Uint8Array;
}

/** The checkpoints of a gzip layer. */
export interface GzipCheckpoints {
  /** 2 stores every checkpoint; 1, of old tools, implies the first. */
  readonly version: 1 | 2;
  /** The span size asked for when it was made, uncompressed bytes. */
  readonly spanSize: number;
  /** In the order of the stream; the first is the beginning of its data. */
  readonly checkpoints: readonly ZtocCheckpoint[];
}

/** The spans of an uncompressed layer: equal pieces of the file. */
export interface TarSpans {
  /** Bytes of each span but the last. */
  readonly spanSize: number;
  /** Bytes of the file. */
  readonly size: number;
}

/** Bytes before the first checkpoint. */
export const CHECKPOINTS_HEADER_BYTES = 12;
/** Bytes of one checkpoint. */
export const CHECKPOINT_BYTES = 8 + 8 + 1 + WINDOW_BYTES;
/** The most checkpoints of one layer. */
export const MAX_CHECKPOINTS = Math.floor(MAX_ZTOC_BYTES / CHECKPOINT_BYTES);

/** Where the checkpoint is that old tools imply: they took every gzip header for the shortest there is. */
export const FIRST_IN = 10;

/** Reads a size or offset. @throws ZtocError when it is none */
export function readInt64(view: DataView, at: number): number {
  const value = view.getInt32(at + 4, true) * 2 ** 32 +
    view.getUint32(at, true);
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new ZtocError("value", at, "checkpoint offset is no size");
  }
  return value;
}

/** Writes a size or offset. */
export function writeInt64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / 2 ** 32), true);
}

/**
 * How many of the checkpoints are stored: all, or all but the first. No version is: the length tells which it is.
 * @param length bytes of the blob. @throws ZtocError
 */
export function storedOf(count: number, length: number): number {
  const stored = (length - CHECKPOINTS_HEADER_BYTES) / CHECKPOINT_BYTES;
  if (count < 1 || (stored !== count && stored !== count - 1)) {
    throw new ZtocError(
      "count",
      0,
      `${count} checkpoints in a blob of ${length} bytes`,
    );
  }
  return stored;
}

/**
 * Reads the checkpoints of a gzip layer; windows are views of the blob. That offsets ascend and fit
 * the layer is checked by `spanTable`, which knows the sizes.
 * @throws ZtocError; offsets in it count from the blob's start.
 */
export function decodeCheckpoints(blob: Uint8Array): GzipCheckpoints {
  if (blob.length < CHECKPOINTS_HEADER_BYTES) {
    throw new ZtocError("bounds", 0, "checkpoints are cut short");
  }
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  const count = view.getInt32(0, true);
  const spanSize = readInt64(view, 4);
  const version = storedOf(count, blob.length) === count ? 2 : 1;
  const checkpoints: ZtocCheckpoint[] = [];
  if (version === 1) {
    checkpoints.push({
      in: FIRST_IN,
      out: 0,
      bits: 0,
      window: new Uint8Array(WINDOW_BYTES),
    });
  }
  for (
    let at = CHECKPOINTS_HEADER_BYTES;
    at < blob.length;
    at += CHECKPOINT_BYTES
  ) {
    const bits = view.getUint8(at + 16);
    if (bits > 7) {
      throw new ZtocError("value", at + 16, `${bits} bits of a byte`);
    }
    checkpoints.push({
      in: readInt64(view, at),
      out: readInt64(view, at + 8),
      bits,
      window: blob.subarray(at + 17, at + CHECKPOINT_BYTES),
    });
  }
  return { version, spanSize, checkpoints };
}

/** Writes the checkpoints of a gzip layer; version 1 leaves the first one out. */
export function encodeCheckpoints(
  { version, spanSize, checkpoints }: GzipCheckpoints,
): Uint8Array<ArrayBuffer> {
  const stored = version === 1 ? checkpoints.slice(1) : checkpoints;
  const blob = new Uint8Array(
    CHECKPOINTS_HEADER_BYTES + stored.length * CHECKPOINT_BYTES,
  );
  writeCheckpointsHeader(blob, checkpoints.length, spanSize);
  for (const [i, checkpoint] of stored.entries()) {
    writeCheckpoint(
      blob,
      CHECKPOINTS_HEADER_BYTES + i * CHECKPOINT_BYTES,
      checkpoint,
    );
  }
  return blob;
}

/** Writes what stands before the checkpoints. */
export function writeCheckpointsHeader(
  blob: Uint8Array<ArrayBuffer>,
  count: number,
  spanSize: number,
): void {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  view.setInt32(0, count, true);
  writeInt64(view, 4, spanSize);
}

/** Writes one checkpoint at a place in the blob. */
export function writeCheckpoint(
  blob: Uint8Array<ArrayBuffer>,
  at: number,
  { in: input, out, bits, window }: ZtocCheckpoint,
): void {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  writeInt64(view, at, input);
  writeInt64(view, at + 8, out);
  blob[at + 16] = bits;
  blob.set(window, at + 17);
}

const TAR_ZINFO_VERSION = 2;

/**
 * Reads the spans of an uncompressed layer.
 * @throws ZtocError; offsets in it count from the blob's start.
 */
export function decodeTarSpans(blob: Uint8Array): TarSpans {
  const reader = new FlatBufferReader(blob);
  const table = reader.root();
  const spanSize = reader.int64(table, TAR_ZINFO.spanSize);
  const size = reader.int64(table, TAR_ZINFO.size);
  if (spanSize < 1) {
    throw new ZtocError("value", table.at, `span size of ${spanSize} bytes`);
  }
  if (size < 0) throw new ZtocError("value", table.at, `tar of ${size} bytes`);
  return { spanSize, size };
}

/** Writes the spans of an uncompressed layer. */
export function encodeTarSpans(
  { spanSize, size }: TarSpans,
): Uint8Array<ArrayBuffer> {
  const writer = new FlatBufferWriter(64);
  writer.startTable();
  writer.addInt32(TAR_ZINFO.version, TAR_ZINFO_VERSION);
  writer.addInt64(TAR_ZINFO.spanSize, spanSize);
  writer.addInt64(TAR_ZINFO.size, size);
  return writer.finish(writer.endTable());
}
