import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { WINDOW_BYTES } from "../deflate/mod.ts";
import type { ZtocCheckpoint } from "./checkpoints.ts";

/** What lies before a stream's first byte. Nobody writes to it. */
const ZEROS = Buffer.alloc(WINDOW_BYTES);
/**
 * A window that does not compress below this size is kept as it is: decompressing it would not be worth
 * the time.
 */
const WORTH_BYTES = WINDOW_BYTES * 3 / 4;

/** Windows that lie in one buffer: 1 MiB. */
const CHUNK_WINDOWS = 32;

/** The windows of a layer's checkpoints as plain data. */
export interface WindowFacts {
  /** The windows that are not all zeros, in order, each chunk full but the last. */
  readonly chunks: readonly Uint8Array<ArrayBuffer>[];
  /** By span: the number of its window among those in `chunks`; -1: all zeros. */
  readonly at: Int32Array<ArrayBuffer>;
}

/** Of a layer without windows. */
export const NO_WINDOWS: WindowFacts = { chunks: [], at: new Int32Array(0) };

/** Copies the windows. */
export function packWindows(
  checkpoints: readonly Pick<ZtocCheckpoint, "window">[],
): WindowFacts {
  const full = checkpoints.filter(({ window }) => !ZEROS.equals(window));
  let next = 0;
  const at = Int32Array.from(
    checkpoints,
    (checkpoint) => checkpoint === full[next] ? next++ : -1,
  );
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  for (let first = 0; first < full.length; first += CHUNK_WINDOWS) {
    const part = full.slice(first, first + CHUNK_WINDOWS);
    const chunk = new Uint8Array(part.length * WINDOW_BYTES);
    part.forEach(({ window }, i) => chunk.set(window, i * WINDOW_BYTES));
    chunks.push(chunk);
  }
  return { chunks, at };
}

/** The windows of a layer's checkpoints: 32 KiB per span, or less when compressed. */
export class Windows {
  #windows: Uint8Array[] = [];
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
  put({ chunks, at }: WindowFacts): void {
    this.#packed = 0;
    this.#chunks = chunks;
    this.#at = at;
    this.#windows = Array.from(at, (number) => {
      if (number < 0) return ZEROS;
      const chunk = chunks[Math.floor(number / CHUNK_WINDOWS)] as Uint8Array;
      const start = number % CHUNK_WINDOWS * WINDOW_BYTES;
      return chunk.subarray(start, start + WINDOW_BYTES);
    });
  }

  /** That span's window, 32 KiB; not to be changed, nor kept beyond this turn of the event loop. */
  get(span: number): Uint8Array {
    const window = this.#windows[span] as Uint8Array;
    return window.length < WINDOW_BYTES
      ? inflateRawSync(window, { maxOutputLength: WINDOW_BYTES })
      : window;
  }

  /**
   * Compresses the next window, which takes about half a ms. Reading it afterwards takes 0.1 ms.
   * @returns false when none is left.
   */
  packNext(): boolean {
    if (this.#packed === this.#windows.length) return false;
    const span = this.#packed++;
    const window = this.#windows[span] as Uint8Array;
    if (window === ZEROS) return true;
    const packed = deflateRawSync(window, { level: 1 });
    // A copy of either: what zlib gives is a view of more, and so is a window in its chunk.
    this.#windows[span] = packed.length < WORTH_BYTES
      ? new Uint8Array(packed)
      : window.slice();
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
