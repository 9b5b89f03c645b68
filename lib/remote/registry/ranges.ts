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
import type { Reference } from "./reference.ts";
import { retrying, Transient } from "./retry.ts";
import {
  endedEarly,
  noteRange,
  noteRefusal,
  PROGRESS_BYTES,
  refusesRanges,
} from "./without_ranges.ts";

/** So much before the wanted bytes is thrown away, where a place gives more than asked for. */
const MAX_SKIP_BYTES = 2 ** 20;
/** A place that gives less than this of what is asked is not asked piece by piece. */
const MIN_PIECE_BYTES = 64 * 1024;
/** Refusals that a new address or login may mend, and how often a part is tried for. */
const MAY_PASS = new Set([400, 403]);
const REFUSED_TRIES = 3;

interface Range {
  readonly digest: Digest;
  readonly start: number;
  readonly end: number;
  /** Whether a refusal is the last one that is waited for. */
  readonly isLastTry: boolean;
}

/** The part an answer holds: it begins at or before what was asked for. */
interface GivenRange {
  readonly answer: Answer;
  readonly skip: number;
  /** Where it ends; at or before the end of what was asked for, or behind it. */
  readonly end: number;
}

/** Asks for a part of a blob. @throws RegistryError of kind `range` where the place gives none */
async function openPart(
  context: Context,
  endpoint: Endpoint,
  { digest, start, end, isLastTry }: Range,
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
      accept: [200, 206],
      doing: `reading bytes ${start} to ${end} of blob ${brief(digest)}`,
      rememberRedirect: true,
      signal,
    });
  } catch (error) {
    if (!refusesRanges(error)) throw error;
    const { host, repository } = endpoint;
    const { detail, status = 0 } = error as RegistryError;
    const refusal = new RegistryError({
      kind: "range",
      host,
      repository,
      detail,
      status,
      cause: error,
    });
    noteRefusal(context, endpoint, digest);
    // A signed address that ended on the way is refused like that, too.
    throw MAY_PASS.has(status) && !isLastTry ? new Transient(refusal) : refusal;
  }
  const given = givenRange(answer, end);
  const fits = given !== null && given.start <= start && given.end > start &&
    start - given.start <= MAX_SKIP_BYTES;
  if (
    fits && (given.end >= end || given.end - start >= MIN_PIECE_BYTES)
  ) {
    noteRange(context, endpoint, digest);
    return { answer, skip: start - given.start, end: given.end };
  }
  await answer[Symbol.asyncDispose]();
  const got = answer.header("content-range") ?? answer.header("content-type");
  if (fits) {
    // Too little of it may as well be all there is of the blob.
    noteRefusal(context, endpoint, digest);
  } else if (given !== null) {
    throw lie(
      endpoint,
      digest,
      `asked for bytes ${start}-${end - 1}, got "${got}"`,
    );
  } else context.withoutRanges.add(href);
  throw none(
    answer.status === 200
      ? "the registry gave the whole of it for a part"
      : `asked for bytes ${start}-${end - 1}, got "${got}"`,
  );
}

/**
 * Another part than asked for: a fault, as it looks, that may pass. Where it does not, the blob is to be
 * had whole; of the place nothing is remembered.
 */
function lie(endpoint: Endpoint, digest: Digest, detail: string): Transient {
  return new Transient(
    registryError(endpoint, "range", `blob ${brief(digest)}: ${detail}`),
  );
}

/** What part an answer says it holds; null where it does not say so. */
function givenRange(
  answer: Answer,
  end: number,
): { start: number; end: number } | null {
  const said = answer.header("content-range");
  const match = /^\s*bytes[\s=:]+(\d+)\s*-\s*(\d+)\s*(?:\/\s*(?:\d+|\*)\s*)?$/i
    .exec(said ?? "");
  if (match !== null) {
    const [first, last] = [Number(match[1]), Number(match[2])];
    return first <= last ? { start: first, end: last + 1 } : null;
  }
  // A part that is all of the blob may come as the whole of it.
  const length = answer.header("content-length");
  return said === null && answer.status === 200 && Number(length) === end
    ? { start: 0, end }
    : null;
}

/**
 * Fills `into` with bytes of a blob; a broken connection goes on where it broke.
 * @throws RegistryError; of kind `range` where the registry and its mirrors give no parts of blobs:
 * that is remembered, and the next call asks nobody.
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
  await reading(context, reference, (endpoint, policy) => {
    let filled = 0;
    let tries = 0;
    return retrying(policy, signal, async (retrier) => {
      while (filled < into.length) {
        const before = filled;
        const from = start + filled;
        const isLastTry = ++tries >= REFUSED_TRIES;
        const range = { digest, start: from, end: endExclusive, isLastTry };
        const opened = await openPart(context, endpoint, range, signal);
        await using answer = opened.answer;
        let { skip } = opened;
        const wanted = Math.min(opened.end, endExclusive) - start;
        await receiving(endpoint, signal, async () => {
          for await (let chunk of answer.chunks()) {
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
            // What comes behind is not wanted: a wider part, or one that is longer than it says.
            if (filled === wanted && opened.end > endExclusive) break;
            if (part.length < chunk.length) break;
          }
        });
        if (filled < wanted) {
          throw endedEarly(endpoint, digest, wanted - filled);
        }
      }
    });
  });
}
