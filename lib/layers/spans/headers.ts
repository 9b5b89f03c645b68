/**
 * Compares the layer's tar headers with the ztoc.
 *
 * A ztoc comes from somebody else, and names, modes and owners are served from it before any byte
 * of the layer has arrived. Span digests do not help: they are part of the same ztoc. So when a
 * span arrives, each header inside it must say exactly what the ztoc says. The entries of a ztoc
 * leave no gap (each header begins where the data before it ends), so nothing can be hidden between
 * them. After the last entry, a check makes sure that no further entry follows.
 *
 * What the ztoc says is kept in a file, one record per entry (`header_record.ts`), in tar order. So
 * it takes no memory, and inflate Workers can read the part they need themselves:
 *
 * | section | element | count |
 * |---|---|---|
 * | head | magic, version, spans, crossing headers, checksum as u32 | 8 words |
 * | records of a span, start and end in the file | f64 pairs | spans |
 * | crossing headers: start and end in the file, first and last span | four f64 | crossing headers
 * |
 * | records | bytes | |
 *
 * A header that crosses a span border is checked when the last of its spans arrives.
 * @module
 */
import { crc32 } from "node:zlib";
import { wholeBlocks } from "../../formats/tar/mod.ts";
import { writeWholeSync } from "../../host/files/mod.ts";
import {
  closeFd,
  ERRNO,
  fileSize,
  O,
  openFd,
  OsError,
  preadFully,
} from "../../host/os/mod.ts";
import {
  PLACEHOLDER_NAME,
  type SpanTable,
  type Ztoc,
  type ZtocEntry,
  ZtocError,
} from "../../formats/ztoc/mod.ts";
import { headerDifference, recordsIn, RecordWriter } from "./header_record.ts";

const MAGIC = 0x52444853; // "SHDR"
const VERSION = 2;
const HEAD_BYTES = 32;
/**
 * Room for a few extension headers (PAX, global, GNU name and link target) of 1 MiB each, and the
 * entry's own header.
 */
const MAX_HEADER_BYTES = 6 * (2 ** 20 + 1024) + 512;
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** A header that spans share: it crosses a span border. */
export interface CrossingHeader {
  /** Where its record starts in the file. */
  readonly start: number;
  /** Where its record ends (exclusive). */
  readonly end: number;
  /** The span it begins in. */
  readonly firstSpan: number;
  /** The span it ends in; the spans between hold parts of it. */
  readonly lastSpan: number;
}

/** Where the records of one span's headers are; what an inflate Worker needs to check them. */
export interface SpanHeaders {
  /** The descriptor of the headers file, owned by the table. */
  readonly fd: number;
  /** Where the records begin in the file. */
  readonly start: number;
  /** Where the records end (exclusive). */
  readonly end: number;
}

/** The headers of one layer that must be checked. */
export class HeaderTable implements Disposable {
  readonly #fd: number;
  readonly #ranges: Float64Array;
  readonly #crossing = new Map<number, CrossingHeader[]>();

  private constructor(fd: number, bytes: Uint8Array<ArrayBuffer>) {
    const [, , spans, crossing] = new Uint32Array(bytes.buffer, 0, 4);
    this.#fd = fd;
    const doubles = new Float64Array(
      bytes.buffer,
      HEAD_BYTES,
      indexWords(spans!, crossing!),
    );
    this.#ranges = doubles.slice(0, spans! * 2);
    for (let i = 0; i < crossing!; i++) {
      const at = spans! * 2 + i * 4;
      const header = {
        start: doubles[at]!,
        end: doubles[at + 1]!,
        firstSpan: doubles[at + 2]!,
        lastSpan: doubles[at + 3]!,
      };
      for (let s = header.firstSpan; s <= header.lastSpan; s++) {
        this.#crossing.getOrInsertComputed(s, () => []).push(header);
      }
    }
  }

  /**
   * Opens the file at `path`. Makes it from the ztoc if it is missing, damaged or of another
   * version.
   * @throws ZtocError when a header cannot be that long; OsError
   */
  static open(path: string, ztoc: Ztoc, spans: SpanTable): HeaderTable {
    const known = openChecked(path, spans.count);
    return known === null
      ? HeaderTable.make(path, ztoc, spans)
      : new HeaderTable(known.fd, known.bytes);
  }

  /**
   * Makes the file at `path`.
   * @throws ZtocError when a header cannot be that long; OsError
   */
  static make(path: string, ztoc: Ztoc, spans: SpanTable): HeaderTable {
    const bytes = buildHeaderFile(ztoc, spans);
    writeWholeSync(path, bytes);
    return new HeaderTable(openFd(path, O.RDWR), bytes);
  }

  /** The headers to check in a span. */
  ofSpan(span: number): SpanHeaders {
    return {
      fd: this.#fd,
      start: this.#ranges[span * 2]!,
      end: this.#ranges[span * 2 + 1]!,
    };
  }

  /** The headers that cross the borders of this span. */
  crossingOf(span: number): readonly CrossingHeader[] {
    return this.#crossing.get(span) ?? [];
  }

  /**
   * Compares a header that crosses span borders with the layer.
   * @param read gives bytes of the tar; all of the header's spans must be here.
   * @returns null, or what differs.
   * @throws OsError when the file cannot be read.
   */
  crossingDifference(
    header: CrossingHeader,
    read: (offset: number, length: number) => Uint8Array,
  ): string | null {
    const bytes = new Uint8Array(header.end - header.start);
    readRecords(this.#fd, bytes, header.start);
    for (const record of recordsIn(bytes)) {
      const { headerStart, offset } = record;
      const region = read(headerStart, offset - headerStart);
      const difference = headerDifference(record, region);
      if (difference !== null) return difference;
    }
    return null;
  }

  /** Closes the file; no Worker may be reading it. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}

/**
 * Reads records. Throws on a short read: otherwise a damaged file would look like a span without
 * headers, and the span would pass. @throws OsError
 */
function readRecords(
  fd: number,
  into: Uint8Array<ArrayBuffer>,
  start: number,
): void {
  if (preadFully(fd, into, start) !== into.length) {
    throw new OsError(ERRNO.EIO, "read", "tar header records (torn file)");
  }
}

/**
 * Compares all headers that lie in a span with what the ztoc says.
 * @param bytes the span's bytes of the tar, from offset `spanStart` on.
 * @returns null, or what differs.
 * @throws OsError when the records of the headers cannot be read.
 */
export function spanHeaderDifference(
  { fd, start, end }: SpanHeaders,
  bytes: Uint8Array,
  spanStart: number,
): string | null {
  const records = new Uint8Array(end - start);
  readRecords(fd, records, start);
  for (const record of recordsIn(records)) {
    const difference = headerDifference(
      record,
      bytes.subarray(
        record.headerStart - spanStart,
        record.offset - spanStart,
      ),
    );
    if (difference !== null) return difference;
  }
  return null;
}

const indexWords = (spans: number, crossing: number) =>
  spans * 2 + crossing * 4;

function buildHeaderFile(
  { entries, uncompressedSize }: Ztoc,
  spans: SpanTable,
): Uint8Array<ArrayBuffer> {
  const writer = new RecordWriter();
  const ranges = new Float64Array(spans.count * 2);
  const crossing: CrossingHeader[] = [];
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
      crossing.push({ start, end: writer.length, firstSpan: span, lastSpan });
    } else {
      if (ranges[span * 2 + 1] === 0) ranges[span * 2] = start;
      ranges[span * 2 + 1] = writer.length;
    }
    headerStart = Math.min(
      wholeBlocks(entry.offset + entry.size),
      uncompressedSize,
    );
  };
  for (let i = 0; i < entries.length; i++) add(entries[i]!, i);
  if (headerStart < uncompressedSize) {
    add(placeholder(uncompressedSize), entries.length); // the end marker
  }
  const words = indexWords(spans.count, crossing.length);
  const recordsAt = HEAD_BYTES + words * 8;
  const bytes = new Uint8Array(recordsAt + writer.length);
  const doubles = new Float64Array(bytes.buffer, HEAD_BYTES, words);
  doubles.set(ranges.map((at) => at + recordsAt));
  crossing.forEach(({ start, end, firstSpan, lastSpan }, i) =>
    doubles.set(
      [start + recordsAt, end + recordsAt, firstSpan, lastSpan],
      spans.count * 2 + i * 4,
    )
  );
  bytes.set(writer.bytes(), recordsAt);
  const head = new Uint32Array(bytes.buffer, 0, HEAD_BYTES / 4);
  head.set([MAGIC, VERSION, spans.count, crossing.length]);
  head[4] = crc32(bytes.subarray(HEAD_BYTES)) >>> 0;
  return bytes;
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

function openChecked(
  path: string,
  spans: number,
): { fd: number; bytes: Uint8Array<ArrayBuffer> } | null {
  let fd: number;
  try {
    fd = openFd(path, O.RDONLY);
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
  const bytes = readAll(fd);
  if (bytes !== null && bytes.length >= HEAD_BYTES) {
    const head = new Uint32Array(bytes.buffer, 0, HEAD_BYTES / 4);
    const ours = head[0] === MAGIC && head[1] === VERSION &&
      head[2] === spans &&
      bytes.length >= HEAD_BYTES + indexWords(spans, head[3]!) * 8 &&
      head[4] === crc32(bytes.subarray(HEAD_BYTES)) >>> 0;
    if (ours) return { fd, bytes };
  }
  closeFd(fd);
  return null;
}

function readAll(fd: number): Uint8Array<ArrayBuffer> | null {
  const size = fileSize(fd);
  if (size > MAX_FILE_BYTES) return null;
  const bytes = new Uint8Array(size);
  return preadFully(fd, bytes, 0) === size ? bytes : null;
}
