import {
  type Descriptor,
  type Digest,
  DigestStream,
} from "../../formats/oci/mod.ts";
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
import type { RegistryError } from "./errors.ts";
import type { Reference } from "../../formats/reference/mod.ts";
import { Retrier, retrying, type RetryPolicy } from "./retry.ts";
import {
  endedEarly,
  noteWhole,
  PROGRESS_BYTES,
  refusesRanges,
} from "./without_ranges.ts";

/** A blob of so many bytes is worth a connection of its own: see `HttpRequest.isBulk`. */
const BULK_BYTES = 16 * 2 ** 20;

/** The rest of a blob from one byte on. */
interface Rest {
  readonly digest: Digest;
  /** The first byte wanted now. */
  readonly start: number;
  /** The blob's size. */
  readonly size: number;
}

/** An answer whose body starts at the wanted byte after `skip` bytes. */
interface Opened {
  readonly answer: Answer;
  readonly skip: number;
  /** How the body was compressed for its way; its bytes are not the blob's then. */
  readonly encoding: CompressionFormat | null;
}

/**
 * Asks for the rest of a blob: by a range if it does not start at 0 and the place supports ranges.
 */
async function openRest(
  context: Context,
  endpoint: Endpoint,
  rest: Rest,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  const { digest, start, size } = rest;
  if (start > 0 && !context.withoutRanges.has(endpoint.root.href)) {
    const opened = await openRange(context, endpoint, rest, signal);
    if (opened !== null) return opened;
  }
  const answer = await context.transport.exchange(endpoint, {
    method: "GET",
    url: endpointUrl(endpoint, `blobs/${digest}`),
    scopes: pullScopes(endpoint),
    accept: [200, 203, 206],
    doing: `reading blob ${brief(digest)}`,
    rememberRedirect: true,
    isStream: true,
    isBulk: size >= BULK_BYTES,
    signal,
  }).catch((error) => {
    noteWhole(context, endpoint, digest, "refused");
    throw error;
  });
  const said = answer.header("content-length");
  // Some places serve a compressed blob with its own compression as the encoding. A body that is as
  // long as the blob is the blob.
  const encoding = said !== null && Number(said) === size
    ? null
    : answer.encoding;
  const short = said !== null && Number(said) < size && encoding === null;
  if (short || (answer.status === 206 && firstByte(answer) !== 0)) {
    await answer[Symbol.asyncDispose]();
    throw tooShort(endpoint, digest, size);
  }
  noteWhole(context, endpoint, digest, "given");
  return { answer, skip: start, encoding };
}

/** The blob's byte that a partial answer starts at; NaN if it does not say. */
function firstByte(answer: Answer): number {
  const given = answer.header("content-range") ?? "";
  return Number(/^\s*(?:bytes[\s=:]+)?(\d+)\s*-/i.exec(given)?.[1]);
}

/** Asks for a range; null if the place refuses. The caller then asks for the whole blob. */
async function openRange(
  context: Context,
  endpoint: Endpoint,
  { digest, start, size }: Rest,
  signal: AbortSignal | undefined,
): Promise<Opened | null> {
  let answer: Answer;
  try {
    answer = await context.transport.exchange(endpoint, {
      method: "GET",
      url: endpointUrl(endpoint, `blobs/${digest}`),
      headers: { range: `bytes=${start}-${size - 1}` },
      scopes: pullScopes(endpoint),
      accept: [200, 203, 206, 416],
      doing: `reading blob ${brief(digest)} from byte ${start} on`,
      rememberRedirect: true,
      isStream: true,
      isBulk: size - start >= BULK_BYTES,
      signal,
    });
  } catch (error) {
    if (!refusesRanges(error)) throw error;
    return null;
  }
  const given = answer.header("content-range");
  // See openRest: a part of the blob, or of its compressed form?
  const isPlain = given?.endsWith(`/${size}`) ?? false;
  const encoding = isPlain ? null : answer.encoding;
  if (firstByte(answer) === start && encoding === null) {
    return { answer, skip: 0, encoding };
  }
  if (answer.status < 206 && given === null && encoding === null) {
    return { answer, skip: start, encoding };
  }
  await answer[Symbol.asyncDispose]();
  // A refused range up to `size` may mean that the size was a lie.
  const held = /\*\/(\d+)/.exec(given ?? "")?.[1];
  if (answer.status === 416 && Number(held) < size) {
    throw tooShort(endpoint, digest, size);
  }
  return null;
}

function tooShort(
  endpoint: Endpoint,
  digest: Digest,
  size: number,
): RegistryError {
  return registryError(
    endpoint,
    "integrity",
    `blob ${brief(digest)}: it is shorter than its ${size} bytes`,
  );
}

/** Streams a blob's bytes from `offset` on. Resolves when the first answer's headers are here. */
export function streamBlob(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  offset: number,
  signal?: AbortSignal,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  if (!(Number.isSafeInteger(offset) && offset >= 0 && offset <= size)) {
    throw new RangeError(`offset ${offset} is outside a blob of ${size} bytes`);
  }
  if (offset === size) return Promise.resolve(ReadableStream.from([]));
  return reading(context, reference, async (endpoint, policy) => {
    const rest = { digest, start: offset, size };
    // Cancelling must end a read that waits for the network. A generator's return() cannot do that.
    const cancelled = new AbortController();
    const either = signal === undefined
      ? cancelled.signal
      : AbortSignal.any([signal, cancelled.signal]);
    const first = await retrying(
      policy,
      either,
      () => openRest(context, endpoint, rest, either),
    );
    const chunks = blobChunks(context, endpoint, policy, rest, first, either);
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await chunks.next();
        if (done) controller.close();
        // As long as what came: the runtime takes 64 KiB for whatever a line gives at a time.
        else controller.enqueue(new Uint8Array(value));
      },
      async cancel(reason) {
        cancelled.abort(reason ?? new DOMException("cancelled", "AbortError"));
        await chunks.return();
        await first.answer[Symbol.asyncDispose]();
      },
    }, { highWaterMark: 0 });
  });
}

/** The rest of a blob as it comes. Each chunk is overwritten when the next one is asked for: see `Answer.pieces`. */
async function* blobChunks(
  context: Context,
  endpoint: Endpoint,
  policy: RetryPolicy,
  { digest, start, size }: Rest,
  first: Opened,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const retrier = new Retrier(policy, signal);
  let opened: Opened | null = first;
  for (let at = start; at < size;) {
    const before = at;
    try {
      opened ??= await openRest(
        context,
        endpoint,
        { digest, start: at, size },
        signal,
      );
      await using answer = opened.answer;
      let { skip, encoding } = opened;
      // Only a resumed answer counts as progress. Otherwise a place that breaks off again and again
      // would send the whole blob for every piece.
      const resumed = skip === 0;
      opened = null;
      const chunks = encoding === null
        ? answer.pieces()
        : answer.chunks(encoding);
      try {
        while (true) {
          const next = await receiving(endpoint, signal, () => chunks.next());
          if (next.done) break;
          const dropped = Math.min(skip, next.value.length);
          skip -= dropped;
          const chunk = next.value.subarray(dropped);
          at += chunk.length;
          if (at > size) {
            throw registryError(
              endpoint,
              "integrity",
              `blob ${brief(digest)} is longer than its ${size} bytes`,
            );
          }
          if (resumed && at - before >= PROGRESS_BYTES) retrier.progressed();
          if (chunk.length > 0) yield chunk;
        }
      } finally {
        await chunks.return(); // so that disposal can cancel the body
      }
      if (at < size) throw endedEarly(endpoint, digest, size - at);
    } catch (error) {
      await retrier.failed(error);
    }
  }
}

/** Fetches a small blob whole and checks its digest. */
export async function fetchBlob(
  context: Context,
  reference: Pick<Reference, "host" | "repository">,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  return await reading(context, reference, async (endpoint, policy) => {
    if (size > maxBytes) {
      throw registryError(
        endpoint,
        "too-large",
        `blob ${brief(digest)} has ${size} bytes, over ${maxBytes}`,
      );
    }
    const rest = { digest, start: 0, size };
    const bytes = new Uint8Array(size);
    const hash = new DigestStream(); // a large blob is not hashed at one go
    let at = 0;
    const first = size === 0 ? null : await retrying(
      policy,
      signal,
      () => openRest(context, endpoint, rest, signal),
    );
    if (first !== null) {
      const chunks = blobChunks(context, endpoint, policy, rest, first, signal);
      for await (const chunk of chunks) {
        bytes.set(chunk, at);
        hash.update(chunk);
        at += chunk.length;
      }
    }
    if (hash.finish() !== digest) {
      throw registryError(
        endpoint,
        "integrity",
        `the bytes of blob ${brief(digest)} do not have its digest`,
      );
    }
    return bytes;
  });
}
