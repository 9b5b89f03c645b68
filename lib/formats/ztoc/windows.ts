import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { WINDOW_BYTES } from "../deflate/mod.ts";
import type { ZtocCheckpoint } from "./checkpoints.ts";
import { putRuns, readRuns } from "./window_runs.ts";

/** What lies before a stream's first byte. Nobody writes to it. */
const ZEROS = Buffer.alloc(WINDOW_BYTES);
/**
 * A window that does not compress below this size is kept as it is: decompressing it would not be worth
 * the time.
 */
const WORTH_BYTES = WINDOW_BYTES * 3 / 4;

/** Windows that lie in one buffer: 1 MiB. */
const CHUNK_WINDOWS = 32;

/** In `WindowFacts.at`: the window is all zeros. */
const ALL_ZEROS = -1;
/** In `WindowFacts.at`: the window is the next in `runs`. */
const IN_RUNS = -2;

/** The windows of a layer's checkpoints as plain data. */
export interface WindowFacts {
  /** The windows that are kept as they are, in order, each chunk full but the last. */
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  /** By span: the number of its window among those in `chunks`; -1: all zeros; -2: the next one in `runs`. */
  readonly at: Int32Array<ArrayBuffer>;
  /** Windows that are mostly zeros, one behind the other: see `putRuns`. */
  readonly runs: Uint8Array<ArrayBuffer>;
  /** Where each of them ends in `runs`. */
  readonly runEnds: Uint32Array<ArrayBuffer>;
}

/** Of a layer without windows. */
export const NO_WINDOWS: WindowFacts = {
  chunks: [],
  at: new Int32Array(0),
  runs: new Uint8Array(0),
  runEnds: new Uint32Array(0),
};

/** The buffers of windows, to be transferred with them: not the empty ones, which `NO_WINDOWS` shares. */
export function buffersOfWindows(
  { chunks, at, runs, runEnds }: WindowFacts,
): ArrayBuffer[] {
  return [...chunks, at, runs, runEnds].map(({ buffer }) => buffer)
    .filter(({ byteLength }) => byteLength > 0);
}

/** Copies the windows. */
export function packWindows(
  checkpoints: readonly Pick<ZtocCheckpoint, "window">[],
): WindowFacts {
  const at = new Int32Array(checkpoints.length);
  const full: Uint8Array[] = [];
  const runEnds: number[] = [];
  let runs = new Uint8Array(0);
  let end = 0;
  for (const [span, { window }] of checkpoints.entries()) {
    if (ZEROS.equals(window)) {
      at[span] = ALL_ZEROS;
      continue;
    }
    runs = withRoom(runs, end + WORTH_BYTES);
    const next = putRuns(window, runs, end, WORTH_BYTES);
    if (next < 0) {
      at[span] = full.push(window) - 1;
    } else {
      at[span] = IN_RUNS;
      runEnds.push(end = next);
    }
  }
  return {
    chunks: chunksOf(full),
    at,
    runs: runs.slice(0, end),
    runEnds: Uint32Array.from(runEnds),
  };
}

/** As long as that, or longer; its bytes stay. */
function withRoom(
  bytes: Uint8Array<ArrayBuffer>,
  length: number,
): Uint8Array<ArrayBuffer> {
  if (bytes.length >= length) return bytes;
  const longer = new Uint8Array(2 * length);
  longer.set(bytes);
  return longer;
}

function chunksOf(windows: readonly Uint8Array[]): Uint8Array<ArrayBuffer>[] {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (let first = 0; first < windows.length; first += CHUNK_WINDOWS) {
    const part = windows.slice(first, first + CHUNK_WINDOWS);
    const chunk = new Uint8Array(part.length * WINDOW_BYTES);
    part.forEach((window, i) => chunk.set(window, i * WINDOW_BYTES));
    chunks.push(chunk);
  }
  return chunks;
}

/** A window as it is kept. */
interface Kept {
  readonly as: "window" | "runs" | "deflated";
  readonly bytes: Uint8Array;
}

const KEPT_ZEROS: Kept = { as: "window", bytes: ZEROS };

/** The windows of a layer's checkpoints: 32 KiB per span, or less when compressed. */
export class Windows {
  #windows: Kept[] = [];
  #chunks: WindowFacts["chunks"] = [];
  #at: WindowFacts["at"] = NO_WINDOWS.at;
  /** Windows before this one are packed, where that is worth it. */
  #packed = 0;

  /** As `put`. */
  constructor(windows: WindowFacts) {
    this.put(windows);
  }

  /**
   * Takes these for the ones before. Takes the chunks over: the memory of each is returned once all in it are
   * packed.
   */
  put({ chunks, at, runs, runEnds }: WindowFacts): void {
    this.#packed = 0;
    this.#chunks = chunks;
    this.#at = at;
    let run = 0;
    this.#windows = Array.from(at, (number) => {
      if (number === ALL_ZEROS) return KEPT_ZEROS;
      if (number === IN_RUNS) {
        const start = run === 0 ? 0 : runEnds[run - 1]!;
        return { as: "runs", bytes: runs.subarray(start, runEnds[run++]!) };
      }
      const chunk = chunks[Math.floor(number / CHUNK_WINDOWS)]!;
      const start = number % CHUNK_WINDOWS * WINDOW_BYTES;
      return {
        as: "window",
        bytes: chunk.subarray(start, start + WINDOW_BYTES),
      };
    });
  }

  /** That span's window, 32 KiB; not to be changed, nor kept beyond this turn of the event loop. */
  get(span: number): Uint8Array {
    const { as, bytes } = this.#windows[span]!;
    switch (as) {
      case "window":
        return bytes;
      case "runs":
        return readRuns(bytes);
      case "deflated":
        return inflateRawSync(bytes, { maxOutputLength: WINDOW_BYTES });
    }
  }

  /**
   * Compresses the next window, which takes about half a ms. Reading it afterwards takes 0.1 ms. One that is kept as
   * runs stays so.
   * @returns false when none is left.
   */
  packNext(): boolean {
    if (this.#packed === this.#windows.length) return false;
    const span = this.#packed++;
    const kept = this.#windows[span]!;
    if (kept.as !== "window" || kept === KEPT_ZEROS) return true;
    const packed = deflateRawSync(kept.bytes, { level: 1 });
    // A copy of either: what zlib gives is a view of more, and so is a window in its chunk.
    this.#windows[span] = packed.length < WORTH_BYTES
      ? { as: "deflated", bytes: new Uint8Array(packed) }
      : { as: "window", bytes: kept.bytes.slice() };
    this.#freeChunkAfter(this.#at[span]!);
    return true;
  }

  /** Not left to the garbage collector: whoever still refers to the facts would keep it. */
  #freeChunkAfter(number: number): void {
    const chunk = this.#chunks[Math.floor(number / CHUNK_WINDOWS)]!;
    const windows = chunk.length / WINDOW_BYTES;
    if (number % CHUNK_WINDOWS === windows - 1) chunk.buffer.transfer(0);
  }
}
