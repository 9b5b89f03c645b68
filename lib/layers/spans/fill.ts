import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { SpanError } from "./errors.ts";

/** Concurrent requests: two hide each other's round trips. */
const REQUESTS = 2;

/** What `fillLayer` fills. */
export interface Fillable {
  readonly spans: SpanTable;
  /** Whether a span need not be fetched: it is present, or has failed for good. */
  isSettled(span: number): boolean;
  /** Compressed bytes that one request should ask for. */
  requestBytes(): number;
  /** How many more uncompressed bytes the cache may take. */
  room(): number;
  /** Fetches spans `first` to `last`. */
  fetch(first: number, last: number): Promise<void>;
}

/**
 * Fetches all missing spans of a layer, in order, as far as there is room.
 * @throws the first span's SpanError, after all other spans have arrived. A SpanError of kind
 * `closed`, or any other error, is thrown at once.
 */
export async function fillLayer(layer: Fillable): Promise<void> {
  const { spans } = layer;
  const requests: { done: Promise<void>; bytes: number }[] = [];
  let failure: SpanError | null = null;
  let underway = 0;
  const settleOne = async () => {
    const { done, bytes } = requests.shift()!;
    try {
      await done;
    } catch (error) {
      if (!(error instanceof SpanError) || error.kind === "closed") throw error;
      failure ??= error;
    }
    underway -= bytes;
  };
  for (let first = 0; first < spans.count; first++) {
    if (layer.isSettled(first)) continue;
    const limit = layer.requestBytes();
    const bytesTo = (last: number) => spans.end(last) - spans.start(first);
    if (bytesTo(first) + underway > layer.room()) break;
    let last = first;
    while (
      last + 1 < spans.count && !layer.isSettled(last + 1) &&
      bytesTo(last + 1) + underway <= layer.room() &&
      spans.compressedEnd(last + 1) - spans.compressedStart(first) <= limit
    ) last++;
    const done = layer.fetch(first, last);
    done.catch(() => {}); // awaited by settleOne
    requests.push({ done, bytes: bytesTo(last) });
    underway += bytesTo(last);
    if (requests.length === REQUESTS) await settleOne();
    first = last;
  }
  while (requests.length > 0) await settleOne();
  if (failure !== null) throw failure;
}
