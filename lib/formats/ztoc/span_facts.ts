import { Buffer } from "node:buffer";
import { type Digest } from "../oci/mod.ts";
import { decodeCheckpoints, decodeTarSpans } from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { decodeFrameSpans } from "./frame_spans.ts";
import { checkSpanSize, type ZtocCompression, type ZtocHead } from "./model.ts";
import {
  buffersOfWindows,
  NO_WINDOWS,
  packWindows,
  type WindowFacts,
} from "./windows.ts";

/** Bytes of a digest in `SpanFacts.digests`. */
export const DIGEST_BYTES = 32;

/**
 * What a `SpanTable` is made of, as plain data: it can be sent to another isolate, its buffers
 * transferred.
 */
export interface SpanFacts {
  /** How the blob is packed. */
  readonly compression: ZtocCompression;
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Bytes of the tar. */
  readonly uncompressedSize: number;
  /** Spans that hold bytes of the tar. */
  readonly count: number;
  /** Spans of the ztoc before the first one here, which hold nothing. */
  readonly first: number;
  /** SHA-256 of each span, one after another, without a prefix. */
  readonly digests: Uint8Array<ArrayBuffer>;
  /** Of an uncompressed layer: bytes of each span but the last; else 0. */
  readonly spanSize: number;
  /** Of a compressed layer: first whole byte of each span in the blob, then the blob's size. */
  readonly inputs: Float64Array<ArrayBuffer>;
  /** Of a compressed layer: first byte of each span in the tar, then the tar's size. */
  readonly outputs: Float64Array<ArrayBuffer>;
  /** Of a compressed layer: high bits of the byte before each span. */
  readonly bits: Uint8Array<ArrayBuffer>;
  /** Of a compressed layer: what lies before each span. */
  readonly windows: WindowFacts;
}

/**
 * The spans of a ztoc, with every range checked: they ascend, lie inside the layer, and are as many
 * as there are digests. Copies what it needs.
 * @param options.windows `left out`: for the checks alone.
 * @throws ZtocError
 */
export function spanFacts(
  ztoc: ZtocHead,
  options: { readonly windows: "copied" | "left out" },
): SpanFacts {
  switch (ztoc.compression) {
    case "gzip":
      return gzipSpans(ztoc, options.windows);
    case "zstd":
      return frameSpans(ztoc);
    case "uncompressed":
      return tarSpans(ztoc);
  }
}

/** Where a span begins, in the blob and in the tar. */
interface Start {
  readonly in: number;
  readonly out: number;
}

/** The buffers of spans, to be transferred with them. */
export function buffersOf(spans: SpanFacts): ArrayBuffer[] {
  const { digests, inputs, outputs, bits, windows } = spans;
  return [
    ...[digests, inputs, outputs, bits].map(({ buffer }) => buffer),
    ...buffersOfWindows(windows),
  ];
}

function checkCount({ spanDigests }: ZtocHead, count: number): void {
  if (spanDigests.length !== count) {
    throw new ZtocError(
      "count",
      -1,
      `${spanDigests.length} digests for ${count} spans`,
    );
  }
}

function packDigests(digests: readonly Digest[]): Uint8Array<ArrayBuffer> {
  const packed = Buffer.from(new ArrayBuffer(digests.length * DIGEST_BYTES));
  digests.forEach((digest, i) =>
    packed.write(digest.slice("sha256:".length), i * DIGEST_BYTES, "hex")
  );
  return new Uint8Array(packed.buffer);
}

/** Places in blob and tar ascend, but for those at the tar's very beginning. */
function checkOrder(
  starts: readonly Start[],
  { compressedSize, compression }: ZtocHead,
): void {
  // What is gzip has a header before its first place.
  let last: Start = { in: compression === "gzip" ? 0 : -1, out: 0 };
  for (const [i, start] of starts.entries()) {
    const { in: input, out } = start;
    const fits = input > last.in && input <= compressedSize &&
      (out > last.out ? i > 0 : out === 0 && last.out === 0);
    if (!fits) {
      throw new ZtocError(
        "order",
        -1,
        `checkpoint ${i} at ${input}/${out} does not fit`,
      );
    }
    last = start;
  }
}

function gzipSpans(
  ztoc: ZtocHead,
  windows: "copied" | "left out",
): SpanFacts {
  const { checkpoints } = decodeCheckpoints(ztoc.checkpoints);
  const spans = packedSpans(ztoc, checkpoints);
  const listed = checkpoints.slice(spans.first);
  return {
    ...spans,
    bits: Uint8Array.from(listed, ({ bits }) => bits),
    // A copy, so that the rest of the ztoc, which is mostly names, need not stay.
    windows: windows === "copied" ? packWindows(listed) : NO_WINDOWS,
  };
}

function frameSpans(ztoc: ZtocHead): SpanFacts {
  return packedSpans(ztoc, decodeFrameSpans(ztoc.checkpoints).starts);
}

/** Spans that begin at these places, and share no byte. */
function packedSpans(ztoc: ZtocHead, listed: readonly Start[]): SpanFacts {
  const { compression, compressedSize, uncompressedSize } = ztoc;
  checkCount(ztoc, listed.length);
  checkOrder(listed, ztoc);
  const first = listed.findLastIndex(({ out }) => out === 0);
  const starts = listed.slice(first);
  const inputs = new Float64Array(starts.length + 1);
  const outputs = new Float64Array(starts.length + 1);
  let count = 0;
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i]!;
    inputs[i] = start.in;
    outputs[i] = start.out;
    if (start.out < uncompressedSize) count++;
  }
  inputs[starts.length] = compressedSize;
  outputs[count] = uncompressedSize;
  for (let span = 0; span < count; span++) {
    checkSpanSize(span, inputs[span + 1]! - inputs[span]!);
    checkSpanSize(span, outputs[span + 1]! - outputs[span]!);
  }
  return {
    compression,
    compressedSize,
    uncompressedSize,
    count,
    first,
    digests: packDigests(ztoc.spanDigests.slice(first)),
    spanSize: 0,
    inputs,
    outputs,
    bits: new Uint8Array(starts.length),
    windows: NO_WINDOWS,
  };
}

function tarSpans(ztoc: ZtocHead): SpanFacts {
  const { spanSize, size } = decodeTarSpans(ztoc.checkpoints);
  const { compressedSize, uncompressedSize, spanDigests } = ztoc;
  if (size !== compressedSize || uncompressedSize > size) {
    throw new ZtocError(
      "count",
      -1,
      `tar of ${uncompressedSize} in ${size} bytes, blob of ${compressedSize}`,
    );
  }
  checkCount(ztoc, Math.ceil(size / spanSize));
  checkSpanSize(0, Math.min(size, spanSize));
  return {
    compression: "uncompressed",
    compressedSize,
    uncompressedSize,
    count: Math.ceil(uncompressedSize / spanSize),
    first: 0,
    digests: packDigests(spanDigests),
    spanSize,
    inputs: new Float64Array(0),
    outputs: new Float64Array(0),
    bits: new Uint8Array(0),
    windows: NO_WINDOWS,
  };
}
