import { readInt64, writeInt64 } from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { MAX_SPANS } from "./model.ts";
import type { BlobWriter } from "./pass.ts";

/** The spans of a zstd layer: runs of whole frames. */
export interface FrameSpans {
  /** The span size asked for when it was made, uncompressed bytes. */
  readonly spanSize: number;
  /** Where spans begin, in the blob and in the tar. */
  readonly starts: readonly { readonly in: number; readonly out: number }[];
}

const HEADER_BYTES = 12;
const START_BYTES = 16;

/**
 * Reads the spans of a zstd layer: `i32 count | i64 span size | count × (i64 in, i64 out)`, little-endian
 * and packed. That offsets ascend and fit the layer is checked by `spanTable`.
 * @throws ZtocError; offsets in it count from the blob's start.
 */
export function decodeFrameSpans(blob: Uint8Array): FrameSpans {
  if (blob.length < HEADER_BYTES) {
    throw new ZtocError("bounds", 0, "spans are cut short");
  }
  const view = new DataView(blob.buffer, blob.byteOffset, blob.length);
  const count = view.getInt32(0, true);
  if (
    count < 1 || count > MAX_SPANS ||
    blob.length !== HEADER_BYTES + count * START_BYTES
  ) {
    throw new ZtocError(
      "count",
      0,
      `${count} spans in a blob of ${blob.length} bytes`,
    );
  }
  return {
    spanSize: readInt64(view, 4),
    starts: Array.from({ length: count }, (_, i) => {
      const at = HEADER_BYTES + i * START_BYTES;
      return { in: readInt64(view, at), out: readInt64(view, at + 8) };
    }),
  };
}

/** Writes the spans of a zstd layer. */
export function encodeFrameSpans({ spanSize, starts }: FrameSpans): BlobWriter {
  return {
    length: HEADER_BYTES + starts.length * START_BYTES,
    write(into) {
      const view = new DataView(into.buffer, into.byteOffset, into.length);
      view.setInt32(0, starts.length, true);
      writeInt64(view, 4, spanSize);
      for (const [i, start] of starts.entries()) {
        writeInt64(view, HEADER_BYTES + i * START_BYTES, start.in);
        writeInt64(view, HEADER_BYTES + i * START_BYTES + 8, start.out);
      }
    },
  };
}
