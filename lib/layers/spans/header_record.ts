/**
 * What one tar header says, as bytes that can be compared. The same function writes the expected record
 * (from the ztoc) and the actual one (from the layer). Little-endian; see `FIELDS` for the places.
 * @module
 */
import {
  assertPassedOver,
  parseHeader,
  type TarEntry,
  TarError,
} from "../../formats/tar/mod.ts";
import {
  formatModTime,
  parseModTime,
  PLACEHOLDER_NAME,
  type ZtocEntry,
} from "../../formats/ztoc/mod.ts";

const TYPES: readonly TarEntry["type"][] = [
  "reg",
  "dir",
  "symlink",
  "hardlink",
  "char",
  "block",
  "fifo",
];

/** [start, end) of each field in a record's fixed part; messages use these names. */
const FIELDS = {
  type: [4, 8],
  offset: [16, 24],
  size: [24, 32],
  mode: [32, 40],
  uid: [40, 44],
  gid: [44, 48],
  "device major": [48, 56],
  "device minor": [56, 64],
  "modification time": [64, 76],
} as const;
const NAME_LENGTH_AT = 76;
const LINK_LENGTH_AT = 80;
const PAX_LENGTH_AT = 84;
/** Bytes of a record before its texts. */
const FIXED_BYTES = 88;

/** Writes records one after another into a buffer that grows. */
export class RecordWriter {
  #bytes = new Uint8Array(64 * 1024);
  #view = new DataView(this.#bytes.buffer);
  length = 0;
  #modTime = "";
  #time = parseModTime("");

  /** Writes what the ztoc says of an entry whose header begins at `headerStart`. */
  expected(entry: ZtocEntry, headerStart: number): void {
    if (entry.modTime !== this.#modTime) {
      this.#modTime = entry.modTime;
      this.#time = parseModTime(entry.modTime);
    }
    this.#put(entry, headerStart, entry.offset, this.#time, entry.xattrs);
  }

  /** Writes what the layer says: an entry parsed from its header at `headerStart`. */
  actual(entry: TarEntry, headerStart: number): void {
    // A ztoc cannot hold years outside 0 to 9999. So compare what `formatModTime` would write for
    // them.
    const { seconds } = entry.mtime;
    const time = seconds >= 0 && seconds < 2 ** 37
      ? entry.mtime
      : parseModTime(formatModTime(entry.mtime));
    this.#put(entry, headerStart, headerStart + entry.offset, time, entry.pax);
  }

  #put(
    entry: Pick<
      TarEntry,
      | "type"
      | "size"
      | "mode"
      | "uid"
      | "gid"
      | "devMajor"
      | "devMinor"
      | "name"
      | "linkname"
    >,
    headerStart: number,
    offset: number,
    time: { seconds: number; nanos: number },
    pax: TarEntry["pax"],
  ): void {
    const { name, linkname } = entry;
    let paxBytes = 0;
    for (let i = 0; i < pax.length; i++) {
      paxBytes += 8 + pax[i]![0].length + pax[i]![1].length;
    }
    const size = (FIXED_BYTES + name.length + linkname.length + paxBytes + 7) &
      ~7;
    this.#reserve(size);
    const at = this.length;
    const view = this.#view;
    view.setUint32(at, size, true);
    view.setUint32(at + 4, TYPES.indexOf(entry.type), true);
    view.setFloat64(at + 8, headerStart, true);
    view.setFloat64(at + 16, offset, true);
    view.setFloat64(at + 24, entry.size, true);
    view.setFloat64(at + 32, entry.mode, true);
    view.setUint32(at + 40, entry.uid, true); // modulo 2^32, as in ztocs
    view.setUint32(at + 44, entry.gid, true);
    view.setFloat64(at + 48, entry.devMajor, true);
    view.setFloat64(at + 56, entry.devMinor, true);
    view.setFloat64(at + 64, time.seconds, true);
    view.setUint32(at + 72, time.nanos, true);
    view.setUint32(at + NAME_LENGTH_AT, name.length, true);
    view.setUint32(at + LINK_LENGTH_AT, linkname.length, true);
    view.setUint32(at + PAX_LENGTH_AT, paxBytes, true);
    const bytes = this.#bytes;
    let end = at + FIXED_BYTES;
    // Names are short: a loop is faster than `set`.
    for (let i = 0; i < name.length; i++) bytes[end + i] = name[i]!;
    end += name.length;
    for (let i = 0; i < linkname.length; i++) bytes[end + i] = linkname[i]!;
    end += linkname.length;
    for (const [key, value] of pax) {
      view.setUint32(end, key.length, true);
      view.setUint32(end + 4, value.length, true);
      bytes.set(key, end + 8);
      bytes.set(value, end + 8 + key.length);
      end += 8 + key.length + value.length;
    }
    while (end < at + size) bytes[end++] = 0;
    this.length = at + size;
  }

  #reserve(size: number): void {
    if (this.length + size <= this.#bytes.length) return;
    const larger = new Uint8Array(
      Math.max(this.#bytes.length * 2, this.length + size),
    );
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  /** The bytes written so far: a view, valid until the next call. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.length);
  }

  /** Starts again in the same memory. */
  clear(): void {
    this.length = 0;
  }
}

/** An expected record, written from the ztoc. */
export interface HeaderRecord {
  /** The whole record: a view. */
  readonly bytes: Uint8Array;
  /** Where the entry's first header block begins in the tar. */
  readonly headerStart: number;
  /** Where its header ends, and its data begins. */
  readonly offset: number;
}

/** The records in `bytes`, in order. */
export function* recordsIn(bytes: Uint8Array): Generator<HeaderRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const size = view.getUint32(at, true);
    yield {
      bytes: bytes.subarray(at, at + size),
      headerStart: view.getFloat64(at + 8, true),
      offset: view.getFloat64(at + 16, true),
    };
    at += size;
  }
}

const scratch = new RecordWriter();

/**
 * Compares a record with the header bytes of the layer at its place.
 * @param region the tar's bytes from the record's `headerStart` to its `offset`.
 * @returns null when they agree, else what differs, for the log.
 */
export function headerDifference(
  record: HeaderRecord,
  region: Uint8Array,
): string | null {
  if (isSame(textsOf(record.bytes).name, PLACEHOLDER_NAME)) {
    return entryBetween(record, region);
  }
  let entry: TarEntry;
  try {
    entry = parseHeader(region);
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    return `entry ${
      nameOf(record.bytes)
    }: the layer has no such header (${error.message})`;
  }
  scratch.clear();
  scratch.actual(entry, record.headerStart);
  const actual = scratch.bytes();
  return isSame(actual, record.bytes)
    ? null
    : `entry ${nameOf(record.bytes)}: ${differences(record.bytes, actual)}`;
}

/** For a record that marks "no entry here": reports an entry that is there nevertheless. */
function entryBetween(
  { headerStart, offset }: HeaderRecord,
  region: Uint8Array,
): string | null {
  try {
    assertPassedOver(region);
    return null;
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    return `between byte ${headerStart} and ${offset} the layer has what the ztoc leaves out (${error.message})`;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

interface Texts {
  readonly name: Uint8Array;
  readonly "link target": Uint8Array;
  readonly "PAX records": Uint8Array;
}

function textsOf(record: Uint8Array): Texts {
  const view = new DataView(record.buffer, record.byteOffset);
  const name = FIXED_BYTES + view.getUint32(NAME_LENGTH_AT, true);
  const link = name + view.getUint32(LINK_LENGTH_AT, true);
  const pax = link + view.getUint32(PAX_LENGTH_AT, true);
  return {
    name: record.subarray(FIXED_BYTES, name),
    "link target": record.subarray(name, link),
    "PAX records": record.subarray(link, pax),
  };
}

/** The entry's name in quotes; bytes that are no UTF-8 are replaced. */
function nameOf(record: Uint8Array): string {
  return JSON.stringify(new TextDecoder().decode(textsOf(record).name));
}

function differences(expected: Uint8Array, actual: Uint8Array): string {
  const said = textsOf(expected);
  const real = textsOf(actual);
  const fields = Object.entries(FIELDS)
    .filter(([, [from, to]]) =>
      !isSame(expected.subarray(from, to), actual.subarray(from, to))
    )
    .map(([field]) => field);
  const texts = (Object.keys(said) as (keyof Texts)[])
    .filter((text) => !isSame(said[text], real[text]));
  return `the layer has another ${[...fields, ...texts].join(", ")}`;
}
