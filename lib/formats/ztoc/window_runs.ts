/**
 * Windows of which a reader needs little: the bytes that matter, with zeros between them. They are kept as runs: of
 * each the number of zero words before it, its own number of words (16 bits each, little endian), and its words.
 * @module
 */
import { WINDOW_BYTES } from "../deflate/mod.ts";

const WORD_BYTES = 4;
const WORDS = WINDOW_BYTES / WORD_BYTES;
/** Bytes before the words of a run. */
const RUN_HEADER_BYTES = 4;
/** So many zero words end a run: fewer take less room than another run. */
const GAP_WORDS = 2;

/** The window that is being read, aligned. */
const words = new Int32Array(WORDS);
const bytes = new Uint8Array(words.buffer);

/**
 * Writes the runs of a window.
 * @param into has room for `limit` bytes from `at`.
 * @returns where they end; -1 when they would take more than `limit` bytes: then what was written says nothing.
 */
export function putRuns(
  window: Uint8Array,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  bytes.set(window);
  const end = at + limit;
  let word = 0;
  while (word < WORDS) {
    const before = word;
    const first = runStart(word);
    if (first === WORDS) break;
    const last = runEnd(first);
    const length = (last - first) * WORD_BYTES;
    if (at + RUN_HEADER_BYTES + length > end) return -1;
    put16(into, at, first - before);
    put16(into, at + 2, last - first);
    at += RUN_HEADER_BYTES;
    into.set(bytes.subarray(first * WORD_BYTES, last * WORD_BYTES), at);
    at += length;
    word = last;
  }
  return at;
}

// Functions of their own: V8 compiles a loop that is inside of another by itself, and discards that at each end of it.

/** The first word from one on that is not zero. */
function runStart(word: number): number {
  while (word < WORDS && words[word] === 0) word++;
  return word;
}

/** Where a run ends. */
function runEnd(word: number): number {
  let zeros = 0;
  for (; word < WORDS && zeros < GAP_WORDS; word++) {
    zeros = words[word] === 0 ? zeros + 1 : 0;
  }
  return word - zeros;
}

/** The window of runs: 32 KiB, the caller's. @param runs exactly what `putRuns` wrote of one window. */
export function readRuns(runs: Uint8Array): Uint8Array<ArrayBuffer> {
  const window = new Uint8Array(WINDOW_BYTES);
  let to = 0;
  for (let at = 0; at < runs.length;) {
    to += get16(runs, at) * WORD_BYTES;
    const length = get16(runs, at + 2) * WORD_BYTES;
    at += RUN_HEADER_BYTES;
    window.set(runs.subarray(at, at + length), to);
    at += length;
    to += length;
  }
  return window;
}

function put16(into: Uint8Array, at: number, value: number): void {
  into[at] = value & 0xff;
  into[at + 1] = value >> 8;
}

function get16(from: Uint8Array, at: number): number {
  return from[at]! | from[at + 1]! << 8;
}
