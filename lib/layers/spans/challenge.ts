import { DeflateError, SpanInflater } from "../../formats/deflate/mod.ts";
import { sha256 } from "../../formats/oci/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import type { SpanSource } from "./source.ts";

/** Compressed bytes that are asked for of a span that is here. */
const HEAD_BYTES = 64 * 1024;
/** A span that was given up meanwhile is replaced by another, so often. */
const TRIES = 8;
const EMPTY_WINDOW = new Uint8Array(32_768);

/** The layer whose bytes are to be shown. */
export interface ChallengedLayer {
  /** Where its spans are. */
  readonly spans: SpanTable;
  /** How the blob is packed. */
  readonly compression: "gzip" | "uncompressed";
  /** Whether a span is here. */
  has(span: number): boolean;
  /** Copies bytes of the tar that are here; false when some are not. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
}

/**
 * Whether a source has a layer: it is asked for bytes that nobody knows from the layer's digest. Of the spans
 * that are here one is chosen at random: its first compressed bytes must inflate, from its checkpoint, to
 * what is here. When none is here, a whole span is asked for and compared with its digest.
 * @throws the source's errors, or the signal's reason.
 */
export async function showsLayer(
  layer: ChallengedLayer,
  source: SpanSource,
  signal: AbortSignal,
): Promise<boolean> {
  const { spans } = layer;
  for (let tries = 0; tries < TRIES; tries++) {
    const present = spansWith(spans, (span) => layer.has(span));
    const all = present.length > 0 ? present : spansWith(spans, () => true);
    const span = all[randomBelow(all.length)];
    if (span === undefined) return true; // an empty tar has nothing to hide
    const start = spans.compressedStart(span);
    const end = spans.compressedEnd(span);
    if (present.length === 0) {
      const bytes = new Uint8Array(end - start);
      await source.fetch(start, end, bytes, signal);
      return sha256(bytes) === spans.digest(span);
    }
    const head = new Uint8Array(Math.min(HEAD_BYTES, end - start));
    await source.fetch(start, start + head.length, head, signal);
    const inflated = inflatedHead(layer, span, head);
    if (inflated === null) return false;
    const here = new Uint8Array(inflated.length);
    if (!layer.copy(spans.start(span), here)) continue; // given up meanwhile
    return here.every((byte, at) => byte === inflated[at]);
  }
  return false;
}

/** What the head of a span gives; null when that is too little to show anything. */
function inflatedHead(
  { spans, compression }: ChallengedLayer,
  span: number,
  head: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | null {
  const size = spans.end(span) - spans.start(span);
  if (compression === "uncompressed") return head.subarray(0, size);
  try {
    const bytes = new SpanInflater().inflateToEnd(
      head,
      spans.bits(span),
      spans.window(span) ?? EMPTY_WINDOW,
      size,
    );
    // A stream that ends early, or is mostly words about itself, would have little to guess.
    return bytes.length >= Math.min(size, head.length / 2) ? bytes : null;
  } catch (error) {
    if (!(error instanceof DeflateError)) throw error;
    return null;
  }
}

/** Spans that give bytes of the tar, and are as they should be. */
function spansWith(
  spans: SpanTable,
  wanted: (span: number) => boolean,
): number[] {
  const found: number[] = [];
  for (let span = 0; span < spans.count; span++) {
    if (spans.end(span) > spans.start(span) && wanted(span)) found.push(span);
  }
  return found;
}

/** A whole number that cannot be foreseen, from 0 on. */
function randomBelow(count: number): number {
  const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
  return count === 0 ? 0 : random % count;
}
