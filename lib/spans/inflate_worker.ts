/**
 * Checks a span's digest, inflates it and writes it into the data file. Nothing reaches the file
 * before its digest was seen to be right.
 * @module
 */
/// <reference lib="deno.worker" />
import { SpanInflater } from "../deflate/mod.ts";
import { sha256 } from "../oci/mod.ts";
import { OsError, pwriteFully } from "../os/mod.ts";
import type { InflateResult, InflateTask } from "./inflate_messages.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const inflater = new SpanInflater();

function perform(task: InflateTask): InflateResult["failure"] {
  const digest = sha256(task.compressed);
  if (digest !== task.digest) {
    return {
      kind: "digest",
      detail: `digest is ${digest}, not ${task.digest}`,
    };
  }
  let bytes: Uint8Array = task.compressed.subarray(0, task.size);
  if (task.checkpoint !== null) {
    try {
      bytes = inflater.inflate(
        task.compressed,
        task.checkpoint.bits,
        task.checkpoint.window,
        task.size,
      );
    } catch (error) {
      return { kind: "inflate", detail: String(error) };
    }
  }
  if (bytes.length !== task.size) {
    return {
      kind: "inflate",
      detail: `gives ${bytes.length} bytes, not ${task.size}`,
    };
  }
  try {
    pwriteFully(task.fd, bytes as Uint8Array<ArrayBuffer>, task.offset);
  } catch (error) {
    if (error instanceof OsError) {
      return { kind: "disk", detail: error.message };
    }
    throw error;
  }
  return null;
}

scope.onmessage = ({ data }: MessageEvent<InflateTask>) => {
  let failure: InflateResult["failure"];
  try {
    failure = perform(data);
  } catch (error) {
    failure = { kind: "inflate", detail: String(error) };
  }
  scope.postMessage({ id: data.id, failure } satisfies InflateResult);
};
