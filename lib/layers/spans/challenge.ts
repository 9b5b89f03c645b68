import { setImmediate } from "node:timers/promises";
import { DeflateError, SpanInflater } from "../../formats/deflate/mod.ts";
import { sha256InSteps } from "../../formats/oci/mod.ts";
import { decodeHead, ZstdError } from "../../formats/zstd/mod.ts";
import {
  MAX_SPAN_BYTES,
  type SpanTable,
  type ZtocCompression,
} from "../../formats/ztoc/mod.ts";
import { fetchInTime, type SpanSource } from "./source.ts";

/**
 * How many compressed bytes of a present span are asked for. Of zstd a whole block, which has up to 128 KiB,
 * or nothing may come of it.
 */
const HEAD_BYTES = { gzip: 2 ** 16, uncompressed: 2 ** 16, zstd: 2 ** 18 };
/** Compressed bytes of a span that is hard to guess: a few zeros end every tar. */
const LEAST_BYTES = 4096;
/** How often another span is chosen because the first was evicted meanwhile. */
const TRIES = 8;
const EMPTY_WINDOW = new Uint8Array(32_768);

/** The layer that a source is to show. */
export interface ChallengedLayer {
  /** Where its spans are. */
  readonly spans: SpanTable;
  /** How the blob is packed. */
  readonly compression: ZtocCompression;
  /** Whether a span is here. */
  has(span: number): boolean;
  /** Resolves when what an earlier process left of spans `first` to `last` was compared with its checksums. */
  compared(first: number, last: number): Promise<void>;
  /** Copies bytes of the tar; false when some are not here. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
}

/**
 * Whether a source has a layer. It is asked for bytes that cannot be known from the layer's digest: the first
 * compressed bytes of a random present span, which must inflate from the span's checkpoint to what is here.
 * If none is present, or only the first, a whole random span is asked for and compared with its digest.
 * @throws the source's errors, or the signal's reason.
 */
export async function showsLayer(
  layer: ChallengedLayer,
  source: SpanSource,
  signal: AbortSignal,
): Promise<boolean> {
  const { spans } = layer;
  for (let tries = 0; tries < TRIES; tries++) {
    // The first bytes of a layer may be known to many: its first span is asked for as a whole, if at all.
    const present = spansWith(spans, (span) => span > 0 && layer.has(span));
    const all = present.length > 0 ? present : notTheFirst(spansWith(spans));
    const span = all[randomBelow(all.length)];
    if (span === undefined) return true; // an empty tar has nothing to hide
    const start = spans.compressedStart(span);
    const end = spans.compressedEnd(span);
    if (present.length === 0) {
      const bytes = new Uint8Array(end - start);
      await fetchInTime(source, { start, end }, bytes, signal);
      const digest = await sha256InSteps(bytes, () => setImmediate());
      return digest === spans.digest(span);
    }
    const headBytes = HEAD_BYTES[layer.compression];
    const head = new Uint8Array(Math.min(headBytes, end - start));
    const headEnd = start + head.length;
    await fetchInTime(source, { start, end: headEnd }, head, signal);
    const inflated = inflatedHead(layer, span, head);
    if (inflated === null) return false;
    const here = new Uint8Array(inflated.length);
    await layer.compared(span, span);
    if (!layer.copy(spans.start(span), here)) continue; // it has gone meanwhile
    return here.every((byte, at) => byte === inflated[at]);
  }
  return false;
}

/** What the head of a span inflates to; null when that is too little to show anything. */
function inflatedHead(
  { spans, compression }: ChallengedLayer,
  span: number,
  head: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | null {
  const size = spans.end(span) - spans.start(span);
  if (compression === "uncompressed") return head.subarray(0, size);
  try {
    const bytes = compression === "zstd"
      ? decodeHead(head, size, MAX_SPAN_BYTES)
      : new SpanInflater().inflateToEnd(
        head,
        spans.bits(span),
        spans.window(span) ?? EMPTY_WINDOW,
        size,
      );
    // A stream that ends early, or is mostly block headers, would be easy to guess.
    return bytes.length >= Math.min(size, head.length / 2) ? bytes : null;
  } catch (error) {
    if (!(error instanceof DeflateError || error instanceof ZstdError)) {
      throw error;
    }
    return null;
  }
}

/** The wanted spans that hold enough to be hard to guess; if there are none, all wanted that give bytes of the tar. */
function spansWith(
  spans: SpanTable,
  wanted: (span: number) => boolean = () => true,
): number[] {
  const found: number[] = [];
  const large: number[] = [];
  for (let span = 0; span < spans.count; span++) {
    if (spans.end(span) === spans.start(span) || !wanted(span)) continue;
    found.push(span);
    const bytes = spans.compressedEnd(span) - spans.compressedStart(span);
    if (bytes >= LEAST_BYTES) large.push(span);
  }
  return large.length > 0 ? large : found;
}

/** Without the first span, unless it is the only one that is hard to guess. */
function notTheFirst(spans: readonly number[]): readonly number[] {
  const others = spans.filter((span) => span > 0);
  return others.length > 0 ? others : spans;
}

/** An unpredictable whole number ≥ 0 and < `count`. */
function randomBelow(count: number): number {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return count === 0 ? 0 : random % count;
}
