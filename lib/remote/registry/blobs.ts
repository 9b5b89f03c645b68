import { type Descriptor, type Digest, sha256 } from "../../formats/oci/mod.ts";
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
import type { Reference } from "./reference.ts";
import { Retrier, retrying, type RetryPolicy, Transient } from "./retry.ts";

/** So much is thrown away to get at a range, where the registry gives the whole blob instead. */
const MAX_SKIP_BYTES = 2 ** 20;
/** After so much, a failure is the first one again. */
const PROGRESS_BYTES = 2 ** 20;

/** Where one read stands. */
interface Span {
  readonly digest: Digest;
  /** The first byte wanted now. */
  readonly start: number;
  readonly end: number;
  /** The blob's size, where it is known. */
  readonly size?: number;
}

/** Asks for part of a blob; the answer's body starts at `start` after `skip` bytes. */
async function openSpan(
  context: Context,
  endpoint: Endpoint,
  { digest, start, end, size }: Span,
  signal: AbortSignal | undefined,
): Promise<{ answer: Answer; skip: number }> {
  const whole = start === 0 && end === size;
  const answer = await context.transport.exchange(endpoint, {
    method: "GET",
    url: endpointUrl(endpoint, `blobs/${digest}`),
    headers: whole ? {} : { range: `bytes=${start}-${end - 1}` },
    scopes: pullScopes(endpoint),
    // A refused rest of a blob means that its size was a lie.
    accept: size === undefined ? [200, 206] : [200, 206, 416],
    doing: whole
      ? `reading blob ${brief(digest)}`
      : `reading bytes ${start} to ${end} of blob ${brief(digest)}`,
    rememberRedirect: true,
    signal,
  });
  const fail = async (
    detail: string,
    kind: "range" | "integrity" = "range",
  ): Promise<never> => {
    await answer[Symbol.asyncDispose]();
    throw registryError(endpoint, kind, `blob ${brief(digest)}: ${detail}`);
  };
  if (answer.status === 416) {
    return await fail(`it is shorter than its ${size} bytes`, "integrity");
  }
  if (answer.status === 200) {
    return start <= MAX_SKIP_BYTES
      ? { answer, skip: start }
      : await fail("the registry gave the whole of it for a range");
  }
  const given = /^bytes (\d+)-(\d+)\/(?:\d+|\*)$/i
    .exec(answer.header("content-range") ?? "");
  if (Number(given?.[1]) !== start || Number(given?.[2]) !== end - 1) {
    return await fail(
      `asked for bytes ${start}-${end - 1}, got "${
        answer.header("content-range") ?? answer.header("content-type")
      }"`,
    );
  }
  return { answer, skip: 0 };
}

function endedEarly(endpoint: Endpoint, digest: Digest, left: number): Error {
  return new Transient(
    registryError(
      endpoint,
      "unavailable",
      `blob ${brief(digest)} ended ${left} bytes early`,
    ),
  );
}

/** Fills `into` with bytes of a blob; a broken connection goes on where it broke. */
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
    return retrying(policy, signal, async (retrier) => {
      const before = filled;
      const span = { digest, start: start + filled, end: endExclusive };
      const opened = await openSpan(context, endpoint, span, signal);
      await using answer = opened.answer;
      let { skip } = opened;
      await receiving(endpoint, signal, async () => {
        for await (let chunk of answer.chunks()) {
          if (skip > 0) {
            const dropped = Math.min(skip, chunk.length);
            skip -= dropped;
            chunk = chunk.subarray(dropped);
          }
          const part = chunk.subarray(0, into.length - filled);
          into.set(part, filled);
          filled += part.length;
          onProgress?.(filled);
          if (filled - before >= PROGRESS_BYTES) retrier.progressed();
          if (filled === into.length && answer.status === 200) break;
          if (part.length < chunk.length) {
            throw registryError(endpoint, "range", "more came than asked for");
          }
        }
      });
      if (filled < into.length) {
        throw endedEarly(endpoint, digest, into.length - filled);
      }
    });
  });
}

/** A blob's bytes from `offset` on; the first answer is here when this returns. */
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
    const span = { digest, start: offset, end: size, size };
    // Cancelling must end a read that waits for the network, which a generator cannot do.
    const cancelled = new AbortController();
    const either = signal === undefined
      ? cancelled.signal
      : AbortSignal.any([signal, cancelled.signal]);
    const first = await retrying(
      policy,
      either,
      () => openSpan(context, endpoint, span, either),
    );
    const chunks = blobChunks(context, endpoint, policy, span, first, either);
    return new ReadableStream({
      async pull(controller) {
        const { value, done } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel(reason) {
        cancelled.abort(reason ?? new DOMException("cancelled", "AbortError"));
        await chunks.return();
        await first.answer[Symbol.asyncDispose]();
      },
    }, { highWaterMark: 0 });
  });
}

async function* blobChunks(
  context: Context,
  endpoint: Endpoint,
  policy: RetryPolicy,
  { digest, start, end, size }: Required<Span>,
  first: { answer: Answer; skip: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const retrier = new Retrier(policy, signal);
  let opened: typeof first | null = first;
  for (let at = start; at < end;) {
    const before = at;
    try {
      opened ??= await openSpan(
        context,
        endpoint,
        { digest, start: at, end, size },
        signal,
      );
      await using answer = opened.answer;
      let { skip } = opened;
      opened = null;
      const chunks = answer.chunks();
      while (true) {
        const next = await receiving(endpoint, signal, () => chunks.next());
        if (next.done) break;
        const dropped = Math.min(skip, next.value.length);
        skip -= dropped;
        const chunk = next.value.subarray(dropped);
        at += chunk.length;
        if (at > end) {
          throw registryError(
            endpoint,
            "integrity",
            `blob ${brief(digest)} is longer than its ${size} bytes`,
          );
        }
        if (at - before >= PROGRESS_BYTES) retrier.progressed();
        if (chunk.length > 0) yield chunk as Uint8Array<ArrayBuffer>;
      }
      if (at < end) throw endedEarly(endpoint, digest, end - at);
    } catch (error) {
      await retrier.failed(error);
    }
  }
}

/** A whole small blob, checked against its digest. */
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
    const span = { digest, start: 0, end: size, size };
    const bytes = new Uint8Array(size);
    let at = 0;
    const first = size === 0 ? null : await retrying(
      policy,
      signal,
      () => openSpan(context, endpoint, span, signal),
    );
    if (first !== null) {
      const chunks = blobChunks(context, endpoint, policy, span, first, signal);
      for await (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
    }
    if (sha256(bytes) !== digest) {
      throw registryError(
        endpoint,
        "integrity",
        `the bytes of blob ${brief(digest)} do not have its digest`,
      );
    }
    return bytes;
  });
}
