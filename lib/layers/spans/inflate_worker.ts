/**
 * Checks a span's digest, inflates it, checks the tar headers in it and writes it into the data file. A
 * span that arrives over a slow connection is hashed and inflated while it arrives, so that little is
 * left to do after its last byte. Nothing is written to the file before digest and headers are checked.
 * @module
 */
/// <reference lib="deno.worker" />
import { crc32 } from "node:zlib";
import { SpanInflater } from "../../formats/deflate/mod.ts";
import { DigestStream, sha256 } from "../../formats/oci/mod.ts";
import { decodeSpan } from "../../formats/zstd/mod.ts";
import { MAX_SPAN_BYTES } from "../../formats/ztoc/mod.ts";
import { Buffer } from "node:buffer";
import { freeBuffer, RestingWorker } from "../../host/memory/mod.ts";
import {
  OsError,
  preadFully,
  punchHole,
  pwriteFully,
} from "../../host/os/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { SpanHeaderCheck } from "./headers.ts";
import { PRESENT } from "../presence/mod.ts";
import type {
  FilePart,
  InflateOutcome,
  InflateRequest,
  InflateResult,
  InflateWork,
  PackedBytes,
  SumOutcome,
} from "./inflate_messages.ts";

/** Without work for so long, the Worker returns what it keeps for the next span, ms. */
const REST_MS = 1000;

/** Each has 5 MiB. */
const spare: SpanInflater[] = [];
const rest = new RestingWorker(REST_MS, () => spare.length = 0);

/**
 * A span that is here whole is hashed first: what a source gives that lies is not worth inflating.
 * @returns the digest that it has instead of its own; null when it is right.
 */
function wrongDigest(
  { digest }: InflateWork,
  compressed: Uint8Array,
): string | null {
  if (digest === null) return null;
  const actual = sha256(compressed);
  return actual === digest ? null : actual;
}

function digestOutcome(actual: string, digest: string | null): InflateOutcome {
  return { kind: "digest", detail: `digest is ${actual}, not ${digest}` };
}

/** One span, from its first byte to its outcome. */
class SpanTask {
  readonly #work: InflateWork;
  /** What came ahead of the span. */
  packed: PackedBytes | null;
  /** Null where the digest was compared before. */
  readonly #hash: DigestStream | null;
  readonly #inflater: SpanInflater | null;
  /** The bytes of a span that is not inflated while it comes: it is here whole. */
  #whole: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #failure: unknown = null;
  readonly #check: SpanHeaderCheck | null;
  /** Why headers could not be compared: nothing is known about the span then. */
  #checkFailure: unknown = null;

  constructor(work: InflateWork, bytes: "come" | "are right") {
    this.#work = work;
    this.#check = work.headers === null
      ? null
      : new SpanHeaderCheck(work.headers, work.offset);
    this.#hash = bytes === "come" ? new DigestStream() : null;
    this.packed = work.packed;
    const { packing, size } = work;
    this.#inflater = packing.kind === "gzip"
      ? spare.pop() ?? new SpanInflater()
      : null;
    if (packing.kind === "gzip") {
      this.#inflater?.begin(packing.bits, packing.window, size);
      freeBuffer(packing.window.buffer);
    }
  }

  push(compressed: Uint8Array<ArrayBuffer>): void {
    this.#hash?.update(compressed);
    if (this.#inflater === null) {
      this.#whole = compressed;
      return;
    }
    try {
      if (this.#failure === null) this.#inflater.push(compressed);
    } catch (error) {
      this.#failure = error; // the digest will show whether source or ztoc is at fault
    }
    freeBuffer(compressed.buffer);
    if (this.#failure !== null) return;
    if (this.#check === null || this.#checkFailure !== null) return;
    try {
      this.#check.advance(this.#inflater.soFar());
    } catch (error) {
      this.#checkFailure = error;
    }
  }

  finish(): InflateOutcome {
    const { digest, size } = this.#work;
    const actual = this.#hash?.finish() ?? digest;
    if (digest !== null && actual !== null && actual !== digest) {
      return digestOutcome(actual, digest);
    }
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      if (this.#failure !== null) throw this.#failure;
      bytes = this.#inflater?.end() ?? this.#unpack(size);
    } catch (error) {
      return { kind: "inflate", detail: String(error) };
    }
    if (bytes.length !== size) {
      return {
        kind: "inflate",
        detail: `gives ${bytes.length} bytes, not ${size}`,
      };
    }
    if (this.#checkFailure !== null) throw this.#checkFailure;
    this.#check?.advance(bytes);
    const detail = this.#check?.difference ?? null;
    if (detail !== null) return { kind: "header", detail };
    return write({ ...this.#work, packed: this.packed }, bytes);
  }

  #unpack(size: number): Uint8Array<ArrayBuffer> {
    return this.#work.packing.kind === "zstd"
      ? decodeSpan(this.#whole, size, MAX_SPAN_BYTES)
      : this.#whole.subarray(0, size);
  }

  /** Leaves its memory to the next span. */
  [Symbol.dispose](): void {
    freeBuffer(this.#whole.buffer);
    if (this.#inflater !== null) spare.push(this.#inflater);
  }
}

/** Where bytes in the data file that came ahead of the span are others than its own; null: nowhere. */
function packLie(
  { fd, starts, ends, states }: PackedBytes,
  bytes: Uint8Array<ArrayBuffer>,
  offset: number,
): number | null {
  for (let range = 0; range < starts.length; range++) {
    if (Atomics.load(states, range) !== PRESENT) continue;
    const start = starts[range]!;
    const here = new Uint8Array(ends[range]! - start);
    const right = bytes.subarray(start - offset, ends[range]! - offset);
    try {
      preadFully(fd, here, start);
    } catch (error) {
      // The disk cannot say what was there: nobody is blamed for that.
      if (!(error instanceof OsError)) throw error;
      continue;
    }
    if (Buffer.compare(here, right) !== 0) return start;
  }
  return null;
}

function write(
  { fd, offset, size, packed }: InflateWork,
  bytes: Uint8Array<ArrayBuffer>,
): InflateOutcome {
  const lie = packed === null ? null : packLie(packed, bytes, offset);
  const unwritten = (detail: string): InflateOutcome => ({
    kind: "unwritten",
    bytes: bytes.slice(),
    detail,
    packLie: lie,
  });
  if (fd === null) {
    return unwritten("the disk is broken, or what is left of it is for state");
  }
  try {
    pwriteFully(fd, bytes, offset);
    return { kind: "written", sum: crc32(bytes), packLie: lie };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    try {
      punchHole(fd, offset, size); // a part of a span is of no use
    } catch (failure) {
      if (!(failure instanceof OsError)) throw failure;
      // The blocks stay until the span is written again: nothing reads them before.
    }
    return unwritten(error.message);
  }
}

/** Read at a time for a checksum. */
const CHUNK_BYTES = 2 ** 20;
let chunk: Uint8Array<ArrayBuffer> | null = null;

function sumOf({ fd, offset, size }: FilePart): SumOutcome {
  chunk ??= new Uint8Array(CHUNK_BYTES);
  let sum = 0;
  try {
    for (let at = 0; at < size; at += CHUNK_BYTES) {
      const part = chunk.subarray(0, Math.min(CHUNK_BYTES, size - at));
      const read = preadFully(fd, part, offset + at);
      if (read !== part.length) return { kind: "short" };
      sum = crc32(part, sum);
    }
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return { kind: "unreadable", detail: error.message };
  }
  return { kind: "sum", sum };
}

const coming = new Map<number, SpanTask>();

function finish(id: number, task: SpanTask): void {
  let outcome: InflateOutcome;
  try {
    outcome = task.finish();
  } catch (error) {
    // This says nothing about the bytes: memory or a descriptor ran out.
    outcome = { kind: "worker", detail: String(error) };
  }
  task[Symbol.dispose]();
  answer(id, outcome);
}

function answer(id: number, outcome: InflateOutcome): void {
  send(
    { id, outcome },
    outcome.kind === "unwritten" ? [outcome.bytes.buffer] : [],
  );
}

const send = answerThread<InflateRequest, InflateResult>((data) => {
  const { id } = data;
  rest.used();
  switch (data.kind) {
    case "whole": {
      const wrong = wrongDigest(data.work, data.compressed);
      if (wrong !== null) {
        return answer(id, digestOutcome(wrong, data.work.digest));
      }
      const task = new SpanTask(data.work, "are right");
      task.push(data.compressed);
      return finish(id, task);
    }
    case "begin":
      coming.set(id, new SpanTask(data.work, "come"));
      return;
    case "piece":
      return coming.get(id)?.push(data.compressed);
    case "last": {
      const task = coming.get(id);
      if (task === undefined) return;
      coming.delete(id);
      task.packed = data.packed;
      task.push(data.compressed);
      return finish(id, task);
    }
    case "sum": {
      const outcome = sumOf(data.part);
      return send({ id, outcome });
    }
    case "drop":
      coming.get(id)?.[Symbol.dispose]();
      coming.delete(id);
  }
});
