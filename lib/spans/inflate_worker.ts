/**
 * Checks a span's digest, inflates it, checks the tar headers in it and writes it into the data
 * file. Nothing reaches the file before both were seen to be right.
 * @module
 */
/// <reference lib="deno.worker" />
import { SpanInflater } from "../deflate/mod.ts";
import { sha256 } from "../oci/mod.ts";
import { OsError, punchHole, pwriteFully } from "../os/mod.ts";
import { spanHeaderDifference } from "./headers.ts";
import type {
  InflateOutcome,
  InflateResult,
  InflateTask,
} from "./inflate_messages.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const inflater = new SpanInflater();

function perform(task: InflateTask): InflateOutcome {
  const digest = sha256(task.compressed);
  if (digest !== task.digest) {
    return {
      kind: "digest",
      detail: `digest is ${digest}, not ${task.digest}`,
    };
  }
  let bytes: Uint8Array<ArrayBuffer> = task.compressed.subarray(0, task.size);
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
  if (task.headers !== null) {
    const detail = spanHeaderDifference(task.headers, bytes, task.offset);
    if (detail !== null) return { kind: "header", detail };
  }
  return write(task, bytes);
}

function write(
  { fd, offset, size }: InflateTask,
  bytes: Uint8Array<ArrayBuffer>,
): InflateOutcome {
  try {
    pwriteFully(fd, bytes, offset);
    return { kind: "written" };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    try {
      punchHole(fd, offset, size); // what was written of it helps nobody
    } catch (failure) {
      if (!(failure instanceof OsError)) throw failure;
      // The blocks stay until the span is written again: nothing reads them before.
    }
    return { kind: "unwritten", bytes: bytes.slice(), detail: error.message };
  }
}

scope.onmessage = ({ data }: MessageEvent<InflateTask>) => {
  let outcome: InflateOutcome;
  try {
    outcome = perform(data);
  } catch (error) {
    outcome = { kind: "inflate", detail: String(error) };
  }
  scope.postMessage(
    { id: data.id, outcome } satisfies InflateResult,
    outcome.kind === "unwritten" ? [outcome.bytes.buffer] : [],
  );
};
