import type { Digest } from "../../formats/oci/mod.ts";
import type { Answer } from "./body.ts";
import {
  brief,
  type Context,
  pullScopes,
  reading,
  receiving,
  registryError,
} from "./context.ts";
import { type Endpoint, endpointUrl } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { retrying, Transient } from "./retry.ts";
import {
  endedEarly,
  noteRange,
  noteRefusal,
  PROGRESS_BYTES,
  refusesRanges,
} from "./without_ranges.ts";

/** The most bytes skipped if an answer starts before the wanted bytes. */
const MAX_SKIP_BYTES = 2 ** 20;
/** A place that answers with less than this is not asked piece by piece. */
const MIN_PIECE_BYTES = 64 * 1024;
/** Refusals that a new redirect or login may fix. */
const MAY_PASS = new Set([400, 401, 403]);
/** How often a refused range is tried. */
const REFUSED_TRIES = 3;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How a range is asked for. */
export interface RangeOptions {
  /** Whether it is one of many that give a large blob: see `HttpRequest`. Default: it is not. */
  readonly isBulk?: boolean;
}

interface Range {
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Whether a refusal of this try is final. */
  readonly isLastTry: boolean;
  readonly isBulk: boolean;
}

/** The part of the blob in an answer. It starts at or before the requested bytes. */
interface GivenRange {
  readonly answer: Answer;
  readonly skip: number;
  /** Where the part ends: before, at or after the end of the requested bytes. */
  readonly end: number;
}

/** Asks for a range of a blob. @throws RegistryError of kind `range` if the place gives none. */
async function openPart(
  context: Context,
  endpoint: Endpoint,
  { digest, start, end, isLastTry, isBulk }: Range,
  signal: AbortSignal | undefined,
): Promise<GivenRange> {
  const { href } = endpoint.root;
  const none = (detail: string) =>
    registryError(endpoint, "range", `blob ${brief(digest)}: ${detail}`);
  if (context.withoutRanges.has(href)) {
    throw none("this repository gave no parts of blobs before");
  }
  let answer: Answer;
  try {
    answer = await context.transport.exchange(endpoint, {
      method: "GET",
      url: endpointUrl(endpoint, `blobs/${digest}`),
      headers: { range: `bytes=${start}-${end - 1}` },
      scopes: pullScopes(endpoint),
      accept: [200, 203, 206],
      doing: `reading bytes ${start} to ${end} of blob ${brief(digest)}`,
      rememberRedirect: true,
      isBulk,
      signal,
    });
  } catch (error) {
    const failsOnRanges = error instanceof Transient &&
      refusesRanges(error.failure) && !context.withRanges.has(href);
    if (failsOnRanges) {
      // Some servers fail on ranges alone. Retries tell that from short trouble.
      throw new Transient(asRefusal(error.failure), error.waitMs);
    }
    if (!refusesRanges(error)) throw error;
    const refusal = asRefusal(error);
    // A signed address that expired meanwhile is refused like this too.
    throw MAY_PASS.has(error.status ?? 0) && !isLastTry
      ? new Transient(refusal)
      : refusal;
  }
  const given = givenRange(answer, end);
  const whole = given !== null && isWhole(answer, given, { start, end });
  const fits = given !== null && !whole && given.start <= start &&
    given.end > start && start - given.start <= MAX_SKIP_BYTES;
  if (
    fits && (given.end >= end || given.end - start >= MIN_PIECE_BYTES)
  ) {
    noteRange(context, endpoint, digest);
    return { answer, skip: start - given.start, end: given.end };
  }
  await answer[Symbol.asyncDispose]();
  const got = answer.header("content-range") ?? answer.header("content-type");
  if (fits) {
    // A short part may also mean that the blob ends there.
    noteRefusal(context, endpoint, digest);
  } else if (given !== null && !whole) {
    throw lie(
      endpoint,
      digest,
      `asked for bytes ${start}-${end - 1}, got "${got}"`,
    );
  } else context.withoutRanges.add(href);
  throw none(
    whole || answer.status !== 206
      ? "the registry gave the whole of it for a part"
      : `asked for bytes ${start}-${end - 1}, got "${got}"`,
  );
}

/**
 * The error for a part that was not asked for. It is retried, as such a fault may pass. If it does
 * not, the caller fetches the blob whole. Nothing is remembered about the place.
 */
function lie(endpoint: Endpoint, digest: Digest, detail: string): Transient {
  return new Transient(
    registryError(endpoint, "range", `blob ${brief(digest)}: ${detail}`),
  );
}

/** An error as the refusal of a range. */
function asRefusal(cause: RegistryError): RegistryError {
  const { host, repository, detail, status = 0 } = cause;
  const kind = "range";
  return new RegistryError({ kind, host, repository, detail, status, cause });
}

/** The part that an answer claims to hold. */
interface ClaimedRange {
  readonly start: number;
  readonly end: number;
  /** The blob's size, if the answer says it. */
  readonly size: number | null;
}

/** The part that an answer claims to hold; null if it does not say. */
function givenRange(answer: Answer, end: number): ClaimedRange | null {
  // The body's parts then have headers of their own.
  if (/^\s*multipart\//i.test(answer.header("content-type") ?? "")) return null;
  const said = answer.header("content-range");
  const match =
    /^\s*(?:bytes[\s=:]+)?(\d+)\s*-\s*(\d+)\s*(?:\/\s*(?:(\d+)|\*)\s*)?$/i
      .exec(said ?? "");
  if (match !== null) {
    const [first, last] = [Number(match[1]), Number(match[2])];
    const size = match[3] === undefined ? null : Number(match[3]);
    return first <= last ? { start: first, end: last + 1, size } : null;
  }
  // A range that covers the blob may be answered with the whole blob.
  const length = answer.header("content-length");
  return said === null && answer.status !== 206 && Number(length) === end
    ? { start: 0, end, size: end }
    : null;
}

/**
 * Whether an answer holds a whole large blob instead of the part asked for. A small blob may lie
 * within one block of a proxy that caches blocks. So it says nothing about the place.
 */
function isWhole(
  answer: Answer,
  { start, end, size }: ClaimedRange,
  asked: { readonly start: number; readonly end: number },
): boolean {
  if (size === null || size <= MAX_SKIP_BYTES) return false;
  if (asked.start === 0 && asked.end === size) return false;
  // Its length tells if its `Content-Range` only repeats what was asked for.
  const length = answer.header("content-length");
  return (start === 0 && end === size) ||
    (end - start < size && Number(length) === size);
}

/** Ends a range that takes too long, however often it was tried. */
function rangeLimit(
  { options }: Context,
  { host, repository }: Pick<Reference, "host" | "repository">,
  signal: AbortSignal | undefined,
): Disposable & { readonly signal: AbortSignal | undefined } {
  const { rangeMs = Infinity } = options.timeouts ?? {};
  if (rangeMs > MAX_TIMER_MS) return { signal, [Symbol.dispose]() {} };
  const late = new AbortController();
  const timer = setTimeout(() => {
    const detail = `a range did not come within ${rangeMs} ms`;
    const kind = "unavailable";
    late.abort(new RegistryError({ kind, host, repository, detail }));
  }, rangeMs);
  return {
    signal: signal === undefined
      ? late.signal
      : AbortSignal.any([signal, late.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}

/**
 * Fills `into` with a range of a blob. Resumes after a broken connection.
 * @throws RegistryError; of kind `range` if the registry and its mirrors give no ranges. That is
 * remembered, and the next call sends no request.
 */
export async function readRange(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  digest: Digest,
  start: number,
  endExclusive: number,
  into: Uint8Array,
  signal?: AbortSignal,
  onProgress?: (filled: number) => void,
  { isBulk = false }: RangeOptions = {},
): Promise<void> {
  if (
    !(Number.isSafeInteger(start) && start >= 0) ||
    endExclusive - start !== into.length
  ) {
    throw new RangeError(
      `bytes ${start} to ${endExclusive} do not fill ${into.length}`,
    );
  }
  if (into.length === 0) return;
  const patient = { ...context, policy: context.rangePolicy };
  using limit = rangeLimit(context, reference, signal);
  signal = limit.signal;
  await reading(patient, reference, async (endpoint, policy) => {
    let filled = 0;
    let tries = 0;
    await retrying(policy, signal, async (retrier) => {
      while (filled < into.length) {
        const before = filled;
        const from = start + filled;
        const isLastTry = ++tries >= REFUSED_TRIES;
        const range = {
          ...{ digest, start: from, end: endExclusive, isLastTry, isBulk },
        };
        const opened = await openPart(context, endpoint, range, signal);
        await using answer = opened.answer;
        let { skip } = opened;
        const wanted = Math.min(opened.end, endExclusive) - start;
        await receiving(endpoint, signal, () =>
          answer.each((chunk) => {
            if (skip > 0) {
              const dropped = Math.min(skip, chunk.length);
              skip -= dropped;
              chunk = chunk.subarray(dropped);
            }
            const part = chunk.subarray(0, wanted - filled);
            into.set(part, filled);
            filled += part.length;
            onProgress?.(filled);
            if (filled - before >= PROGRESS_BYTES) retrier.progressed();
            // The rest is not wanted: the part is wider than asked for, or longer than it claims.
            if (filled === wanted && opened.end > endExclusive) return false;
            return part.length === chunk.length;
          }));
        if (filled < wanted) {
          throw endedEarly(endpoint, digest, wanted - filled);
        }
      }
    }).catch((error) => {
      const refused = error instanceof RegistryError &&
        error.kind === "range" && error.cause !== undefined;
      if (refused) noteRefusal(context, endpoint, digest);
      throw error;
    });
  });
}
