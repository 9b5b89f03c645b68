/** Hashes one layer and sleeps half of the time, because nobody waits for the result. @module */
/// <reference lib="deno.worker" />
import { createHash } from "node:crypto";
import { SpanInflater } from "../../formats/deflate/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { decodeToEnd } from "../../formats/zstd/mod.ts";
import { MAX_SPAN_BYTES } from "../../formats/ztoc/mod.ts";
import type {
  LayerTail,
  WholeLayerQuestion,
  WholeLayerResult,
} from "./whole_messages.ts";

const CHUNK_BYTES = 2 ** 20;
/** The most bytes a stream may hold after its tar: more is not padding. */
const MAX_TAIL_BYTES = 64 * 2 ** 20;

const hash = createHash("sha256");
const clock = new Int32Array(new SharedArrayBuffer(4));

function addFile(path: string, sizeBytes: number): void {
  using file = Deno.openSync(path);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < sizeBytes;) {
    const startMs = performance.now();
    const read = file.readSync(
      chunk.subarray(0, Math.min(CHUNK_BYTES, sizeBytes - at)),
    );
    if (read === null) throw new Error(`${path} ends before byte ${sizeBytes}`);
    hash.update(chunk.subarray(0, read));
    at += read;
    Atomics.wait(clock, 0, 0, performance.now() - startMs);
  }
}

function addTail(tail: LayerTail): void {
  if (tail.kind === "plain") {
    hash.update(tail.bytes);
    return;
  }
  const { compressed, skip } = tail;
  const maxBytes = skip + MAX_TAIL_BYTES;
  const bytes = tail.kind === "zstd"
    ? decodeToEnd(compressed, maxBytes, MAX_SPAN_BYTES)
    : new SpanInflater().inflateToEnd(
      compressed,
      tail.bits,
      tail.window,
      maxBytes,
    );
  hash.update(bytes.subarray(skip));
}

const send = answerThread<WholeLayerQuestion, WholeLayerResult>((data) => {
  let result: WholeLayerResult;
  try {
    if (data.kind === "file") addFile(data.path, data.sizeBytes);
    else addTail(data.tail);
    const digest = `sha256:${hash.copy().digest("hex")}`;
    result = { digest, error: null };
  } catch (error) {
    result = { digest: null, error: String(error) };
  }
  send(result);
});
