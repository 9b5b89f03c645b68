/**
 * Makes and reads the file of what a ztoc says of tar headers; its layout is told in `headers.ts`.
 * @module
 */
import { crc32 } from "node:zlib";
import { wholeBlocks } from "../../formats/tar/mod.ts";
import {
  FileError,
  readIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";
import {
  PLACEHOLDER_NAME,
  type SpanTable,
  type ZtocEntry,
  ZtocError,
} from "../../formats/ztoc/mod.ts";
import { RecordWriter } from "./header_record.ts";

const MAGIC = 0x52444853; // "SHDR"
const VERSION = 2;
const HEAD_BYTES = 32;
/** Numbers of one crossing header: start and end in the file, first and last span. */
export const CROSSING_WORDS = 4;
/**
 * A few extension headers (PAX, global, GNU name and link target) of 1 MiB each, and the entry's own.
 */
const MAX_HEADER_BYTES = 6 * (2 ** 20 + 1024) + 512;
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** What the file is made of. */
export interface HeaderSource {
  /** In tar order. */
  readonly entries: Iterable<ZtocEntry>;
  /** Bytes of the tar. */
  readonly uncompressedSize: number;
}

/** Where the records are in the file: what stays in memory of it. Plain data. */
export interface HeaderIndex {
  /** By span, start and end of its records. */
  readonly ranges: Float64Array<ArrayBuffer>;
  /** Headers that cross span borders, ascending; `CROSSING_WORDS` numbers each. */
  readonly crossing: Float64Array<ArrayBuffer>;
}

/**
 * Makes the file at `path`.
 * @throws ZtocError when a header cannot be that long; FileError
 */
export function makeHeaderFile(
  path: string,
  source: HeaderSource,
  spans: SpanTable,
): HeaderIndex {
  const { bytes, index } = buildHeaderFile(source, spans);
  writeWholeSync(path, bytes);
  return index;
}

/** Reads the file at `path`; null when it is missing, torn, too large or of another version. @throws FileError */
export function readHeaderFile(
  path: string,
  spans: number,
): HeaderIndex | null {
  const bytes = readSmall(path);
  if (bytes === null || bytes.length < HEAD_BYTES) return null;
  const head = new Uint32Array(bytes.buffer, 0, HEAD_BYTES / 4);
  const ours = head[0] === MAGIC && head[1] === VERSION &&
    head[2] === spans &&
    bytes.length >= HEAD_BYTES + indexWords(spans, head[3]!) * 8 &&
    head[4] === crc32(bytes.subarray(HEAD_BYTES)) >>> 0;
  return ours ? indexIn(bytes, spans, head[3]!) : null;
}

/** A copy, so that the records do not stay in memory. */
function indexIn(
  bytes: Uint8Array<ArrayBuffer>,
  spans: number,
  crossing: number,
): HeaderIndex {
  const words = new Float64Array(
    bytes.buffer,
    HEAD_BYTES,
    indexWords(spans, crossing),
  );
  return {
    ranges: words.slice(0, spans * 2),
    crossing: words.slice(spans * 2),
  };
}

const indexWords = (spans: number, crossing: number) =>
  spans * 2 + crossing * CROSSING_WORDS;

/** Numbers, as many as come. */
class Numbers {
  #numbers = new Float64Array(1 << 8);
  #length = 0;

  push(...numbers: readonly number[]): void {
    if (this.#length + numbers.length > this.#numbers.length) {
      const larger = new Float64Array(this.#numbers.length * 2);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers.set(numbers, this.#length);
    this.#length += numbers.length;
  }

  all(): Float64Array {
    return this.#numbers.subarray(0, this.#length);
  }
}

function buildHeaderFile(
  { entries, uncompressedSize }: HeaderSource,
  spans: SpanTable,
): { bytes: Uint8Array<ArrayBuffer>; index: HeaderIndex } {
  const writer = new RecordWriter();
  const ranges = new Float64Array(spans.count * 2);
  const crossing = new Numbers();
  let headerStart = 0;
  let span = 0;
  const add = (entry: ZtocEntry, number: number) => {
    if (entry.offset - headerStart > MAX_HEADER_BYTES) {
      throw new ZtocError(
        "order",
        -1,
        `entry ${number} has a header of ${entry.offset - headerStart} bytes`,
      );
    }
    const start = writer.length;
    writer.expected(entry, headerStart);
    while (headerStart >= spans.end(span)) span++;
    const lastSpan = entry.offset <= spans.end(span)
      ? span
      : spans.spanAt(entry.offset - 1);
    if (lastSpan > span) {
      crossing.push(start, writer.length, span, lastSpan);
    } else {
      if (ranges[span * 2 + 1] === 0) ranges[span * 2] = start;
      ranges[span * 2 + 1] = writer.length;
    }
    headerStart = Math.min(
      wholeBlocks(entry.offset + entry.size),
      uncompressedSize,
    );
  };
  let number = 0;
  for (const entry of entries) add(entry, number++);
  if (headerStart < uncompressedSize) {
    add(placeholder(uncompressedSize), number); // the end marker
  }
  const crossings = crossing.all();
  const words = ranges.length + crossings.length;
  const recordsAt = HEAD_BYTES + words * 8;
  const bytes = new Uint8Array(recordsAt + writer.length);
  const doubles = new Float64Array(bytes.buffer, HEAD_BYTES, words);
  doubles.set(ranges.map((at) => at + recordsAt));
  doubles.set(crossings, ranges.length);
  for (let at = ranges.length; at < words; at += CROSSING_WORDS) {
    doubles[at]! += recordsAt;
    doubles[at + 1]! += recordsAt;
  }
  bytes.set(writer.bytes(), recordsAt);
  const head = new Uint32Array(bytes.buffer, 0, HEAD_BYTES / 4);
  const crossingCount = crossings.length / CROSSING_WORDS;
  head.set([MAGIC, VERSION, spans.count, crossingCount]);
  head[4] = crc32(bytes.subarray(HEAD_BYTES)) >>> 0;
  return { bytes, index: indexIn(bytes, spans.count, crossingCount) };
}

/** An entry for the end marker, where no real entry is; see `PLACEHOLDER_NAME`. */
function placeholder(offset: number): ZtocEntry {
  const nothing = new Uint8Array(0);
  return {
    name: PLACEHOLDER_NAME,
    type: "reg",
    offset,
    size: 0,
    linkname: nothing,
    mode: 0,
    uid: 0,
    gid: 0,
    uname: nothing,
    gname: nothing,
    modTime: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: [],
  };
}

/** Null for what is no file of ours by its kind or size, too. */
function readSmall(path: string): Uint8Array<ArrayBuffer> | null {
  try {
    return readIfThere(path, MAX_FILE_BYTES);
  } catch (error) {
    if (error instanceof FileError && error.code === null) return null;
    throw error;
  }
}
