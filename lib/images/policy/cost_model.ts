/** What a start costs, lazily and of a whole image: how long until its first program runs, as far as can be told. @module */

/** What is known of an image before anything of its layers is here. */
export interface StartSizes {
  /** Compressed bytes of each layer. */
  readonly layers: readonly number[];
  /** Bytes of the ztocs that a lazy start fetches first; null where the image has no index. */
  readonly ztocs: number | null;
}

/** What is known of the way to its registry. */
export interface LineFigures {
  /** How long a small request takes, ms. */
  readonly roundTripMs: number;
  /** Compressed bytes a ms, as they were measured; 0 while nothing was. */
  readonly bytesPerMs: number;
  /** Layers that are inflated at a time. */
  readonly cores: number;
}

/** Both ways, ms. */
export interface StartCosts {
  /** Infinity where there is no index. */
  readonly lazyMs: number;
  /** All layers here and shown. */
  readonly wholeMs: number;
}

/** While nothing was measured: 1 Gbit/s, as inside a data centre. */
const UNKNOWN_BYTES_PER_MS = 125_000;
/** A tenth and a half of an image is read by its start, in the mean of the images that cold starts are measured with. */
const READ_SHARE = 0.15;
/** One read after the other waits for its bytes: so many, and one more for each so many bytes that are read. */
const LEAST_WAITS = 8;
const WAIT_BYTES = 4 * 2 ** 20;
/** Compressed bytes that one core inflates and hashes, a ms. */
const INFLATED_PER_MS = 40_000;
/** Requests before the first byte of a layer is asked for: manifest, configuration and index, then ztocs. */
const LAZY_TRIPS = 3;
const WHOLE_TRIPS = 2;
/** A lazy start that saves no more than this is slow to gain: its later reads wait, too, ms. */
const LEAST_GAIN_MS = 500;
/** Layers whose bytes come in so many round trips are whole sooner than a reader has its second span of them. */
const SMALL_TRIPS = 2;
const LEAST_SMALL_BYTES = 64 * 1024;
const MOST_SMALL_BYTES = 4 * 2 ** 20;

function rateOf({ bytesPerMs }: Pick<LineFigures, "bytesPerMs">): number {
  return bytesPerMs > 0 ? bytesPerMs : UNKNOWN_BYTES_PER_MS;
}

/** How long a start takes, both ways. */
export function startCosts(
  { layers, ztocs }: StartSizes,
  line: LineFigures,
): StartCosts {
  const rate = rateOf(line);
  const bytes = layers.reduce((sum, size) => sum + size, 0);
  const readBytes = bytes * READ_SHARE;
  const waits = LEAST_WAITS + readBytes / WAIT_BYTES;
  const lazyMs = ztocs === null
    ? Infinity
    : (LAZY_TRIPS + waits) * line.roundTripMs + (ztocs + readBytes) / rate;
  const inflateMs = Math.max(
    Math.max(0, ...layers) / INFLATED_PER_MS,
    bytes / INFLATED_PER_MS / Math.max(1, line.cores),
  );
  const wholeMs = WHOLE_TRIPS * line.roundTripMs +
    Math.max(bytes / rate, inflateMs);
  return { lazyMs, wholeMs };
}

/** Whether a lazy start gains too little. */
export function isSlowToGain({ lazyMs, wholeMs }: StartCosts): boolean {
  return wholeMs - lazyMs < LEAST_GAIN_MS;
}

/** Layers of fewer compressed bytes are taken whole in an image that is served lazily. */
export function smallLayerBytes(
  line: Pick<LineFigures, "roundTripMs" | "bytesPerMs">,
): number {
  const bytes = SMALL_TRIPS * line.roundTripMs * rateOf(line);
  return Math.min(
    MOST_SMALL_BYTES,
    Math.max(LEAST_SMALL_BYTES, Math.round(bytes)),
  );
}
