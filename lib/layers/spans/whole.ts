/**
 * The digest of a layer's whole tar, off the main isolate and at low priority.
 * @module
 */
import { type Digest, isDigest } from "../../formats/oci/mod.ts";
import { openThread } from "../../host/threads/mod.ts";
import { startHasher } from "./start.ts";
import type {
  LayerTail,
  WholeLayerQuestion,
  WholeLayerResult,
} from "./whole_messages.ts";

/**
 * Compares a complete data file with the layer's diff ID.
 * @param options.tail called only when the data file alone does not have that digest.
 * @returns the digest of data and tail: the diff ID when all is right.
 * @throws Error when the file cannot be read, what `tail` throws, or the signal's reason.
 */
export async function hashLayer(
  path: string,
  sizeBytes: number,
  diffId: Digest,
  options: {
    readonly tail: () => Promise<LayerTail | null>;
    readonly signal: AbortSignal;
  },
): Promise<Digest> {
  const { signal } = options;
  signal.throwIfAborted();
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => {}); // raced below
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  let answer = Promise.withResolvers<WholeLayerResult>();
  const hasher = openThread<WholeLayerQuestion, WholeLayerResult>(
    { name: "layer hasher", given: path, start: () => startHasher(path) },
    {
      message: (result) => answer.resolve(result),
      broken: (why) => stopped.reject(new Error(why)),
    },
  );
  const ask = async (question: WholeLayerQuestion): Promise<Digest> => {
    answer = Promise.withResolvers();
    hasher.post(question);
    const { digest, error } = await Promise.race([
      answer.promise,
      stopped.promise,
    ]);
    if (!isDigest(digest)) throw new Error(error ?? "no digest");
    return digest;
  };
  try {
    const digest = await ask({ kind: "file", path, sizeBytes });
    if (digest === diffId) return digest;
    const tail = await options.tail();
    return tail === null ? digest : await ask({ kind: "tail", tail });
  } finally {
    signal.removeEventListener("abort", stop);
    hasher[Symbol.dispose]();
  }
}
