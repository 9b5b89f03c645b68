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
 * A header that crosses a span border is checked when the last of its spans arrives. The file is made
 * and read in `header_file.ts`.
 * @module
 */
import {
  closeFd,
  ERRNO,
  O,
  openFd,
  OsError,
  preadFully,
} from "../../host/os/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import {
  CROSSING_WORDS,
  type HeaderIndex,
  type HeaderSource,
  makeHeaderFile,
  readHeaderFile,
} from "./header_file.ts";
import {
  headerDifference,
  type HeaderRecord,
  recordsIn,
} from "./header_record.ts";

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
  readonly #index: HeaderIndex;

  private constructor(fd: number, index: HeaderIndex) {
    this.#fd = fd;
    this.#index = index;
  }

  /**
   * Opens the file at `path`. Makes it from the ztoc if it is missing, damaged or of another
   * version.
   * @throws ZtocError when a header cannot be that long; OsError, FileError
   */
  static open(
    path: string,
    ztoc: HeaderSource,
    spans: SpanTable,
  ): HeaderTable {
    return HeaderTable.over(
      path,
      readHeaderFile(path, spans.count) ?? makeHeaderFile(path, ztoc, spans),
    );
  }

  /** Opens the file at `path`, which has just been read or made. @throws OsError */
  static over(path: string, index: HeaderIndex): HeaderTable {
    return new HeaderTable(openFd(path, O.RDONLY), index);
  }

  /** Whether the file is still as it was made, by its checksum. @throws FileError */
  isWhole(path: string): boolean {
    return readHeaderFile(path, this.#index.ranges.length / 2) !== null;
  }

  /** The headers to check in a span. */
  ofSpan(span: number): SpanHeaders {
    return {
      fd: this.#fd,
      start: this.#index.ranges[span * 2]!,
      end: this.#index.ranges[span * 2 + 1]!,
    };
  }

  /** The headers that cross the borders of this span. */
  *crossingOf(span: number): Generator<CrossingHeader, void, void> {
    const { crossing } = this.#index;
    const count = crossing.length / CROSSING_WORDS;
    const word = (at: number, word: number) =>
      crossing[at * CROSSING_WORDS + word]!;
    // They ascend and do not overlap: those of a span are next to each other.
    let low = 0;
    for (let high = count; low < high;) {
      const middle = (low + high) >>> 1;
      if (word(middle, 3) < span) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < count && word(at, 2) <= span; at++) {
      yield {
        start: word(at, 0),
        end: word(at, 1),
        firstSpan: word(at, 2),
        lastSpan: word(at, 3),
      };
    }
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
 * Compares all headers that lie in a span with what the ztoc says, while the span comes: what was compared
 * before need not be when its last byte is here. As long as the span's digest is not known to be right, a
 * difference says nothing about the ztoc.
 */
export class SpanHeaderCheck {
  readonly #headers: SpanHeaders;
  readonly #spanStart: number;
  /** Null before the records are read. */
  #records: Iterator<HeaderRecord, void> | null = null;
  /** The next one to compare. */
  #next: HeaderRecord | undefined;
  #difference: string | null = null;

  /** Reads nothing yet. @param spanStart offset of the span in the tar. */
  constructor(headers: SpanHeaders, spanStart: number) {
    this.#headers = headers;
    this.#spanStart = spanStart;
  }

  /** What differs, of the headers that were compared; null: nothing. */
  get difference(): string | null {
    return this.#difference;
  }

  /**
   * Compares the headers that were not compared yet and lie in these bytes, the span's first.
   * @throws OsError when the records of the headers cannot be read.
   */
  advance(bytes: Uint8Array): void {
    this.#records ??= this.#open();
    const start = this.#spanStart;
    while (
      this.#next !== undefined && this.#next.offset - start <= bytes.length &&
      this.#difference === null
    ) {
      const { headerStart, offset } = this.#next;
      this.#difference = headerDifference(
        this.#next,
        bytes.subarray(headerStart - start, offset - start),
      );
      this.#take(this.#records);
    }
  }

  #open(): Iterator<HeaderRecord, void> {
    const { fd, start, end } = this.#headers;
    const bytes = new Uint8Array(end - start);
    readRecords(fd, bytes, start);
    const records = recordsIn(bytes);
    this.#take(records);
    return records;
  }

  #take(records: Iterator<HeaderRecord, void>): void {
    const { value } = records.next();
    this.#next = value ?? undefined;
  }
}
