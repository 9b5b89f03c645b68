import { type Digest, isDigest } from "../oci/mod.ts";
import {
  BLOCK_BYTES,
  isSparseKey,
  MAX_PATH_BYTES,
  type TarEntryType,
  wholeBlocks,
} from "../tar/mod.ts";
import { ZtocError } from "./errors.ts";
import { FlatBufferReader, type Table } from "./flatbuffer_reader.ts";
import {
  MAX_ENTRIES,
  MAX_SPANS,
  MAX_ZTOC_BYTES,
  type Ztoc,
  type ZtocCompression,
  type ZtocEntry,
  type ZtocHead,
  type ZtocOutline,
} from "./model.ts";
import { ALGORITHM, COMPRESSION, FILE, TOC, XATTR, ZTOC } from "./schema.ts";
import { spanFacts } from "./span_facts.ts";

const TYPES = ([
  "reg",
  "dir",
  "symlink",
  "hardlink",
  "char",
  "block",
  "fifo",
] satisfies TarEntryType[]).map((type) => ({
  type,
  bytes: new TextEncoder().encode(type),
}));

/** How many names are remembered to be shared. */
const MAX_NAMES = 8;
/** The most bytes of the short texts: versions, types, times, digests. */
const MAX_TEXT_BYTES = 256;
/** The most PAX records of one layer. */
const MAX_RECORDS = 2 ** 22;
const NO_XATTRS: ZtocEntry["xattrs"] = [];

/** A ztoc whose files are read one by one, as each is asked for. */
export interface OpenZtoc extends ZtocHead {
  /** How many files it lists. */
  readonly entryCount: number;
  /**
   * Reads the files, in tar order, from the first one each time. An entry is a view of the ztoc's bytes.
   * @throws ZtocError on the way.
   */
  entries(): Generator<ZtocEntry, void, void>;
}

/**
 * Reads a ztoc from an untrusted place. What comes back is consistent: entries ascend and lie inside
 * the tar, spans are as many as digests and lie inside the blob. Names, links, records and
 * checkpoints are views of `bytes`.
 * @throws ZtocError, and nothing else.
 */
export function decodeZtoc(bytes: Uint8Array): Ztoc {
  const { entries, entryCount: _, ...head } = openZtoc(bytes);
  return { ...head, entries: [...entries()] };
}

/**
 * The same without a list of all files, which takes several times the memory of the ztoc: they are
 * checked as they are read.
 * @throws ZtocError, and nothing else.
 */
export function openZtoc(bytes: Uint8Array): OpenZtoc {
  const head = new ZtocDecoder(bytes).head();
  spanFacts(head, { windows: "left out" }); // for its checks
  return {
    ...head,
    entryCount: ztocOutline(bytes).entries,
    entries: () => new ZtocDecoder(bytes).entries(head.uncompressedSize),
  };
}

/**
 * How much there is to read, without reading it: takes no time to speak of, and checks nothing else.
 * @throws ZtocError
 */
export function ztocOutline(bytes: Uint8Array): ZtocOutline {
  return new ZtocDecoder(bytes).outline();
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

class ZtocDecoder {
  readonly #reader: FlatBufferReader;
  /** Names of owners and keys of records met lately. */
  readonly #names: Uint8Array[] = [];
  #nextName = 0;
  /** Files next to each other often have the same time. */
  #lastTime: { readonly bytes: Uint8Array; readonly text: string } = {
    bytes: new Uint8Array(0),
    text: "",
  };
  #records = 0;

  constructor(bytes: Uint8Array) {
    if (bytes.length > MAX_ZTOC_BYTES) {
      throw new ZtocError("too-large", -1, `${bytes.length} bytes`);
    }
    this.#reader = new FlatBufferReader(bytes);
  }

  outline(): ZtocOutline {
    const reader = this.#reader;
    const root = reader.root();
    const toc = this.#child(root, ZTOC.toc, "toc");
    const compression = this.#child(root, ZTOC.compression, "compression");
    return {
      entries: reader.references(toc, TOC.metadata).count,
      spans: reader.references(compression, COMPRESSION.spanDigests).count,
      checkpointBytes: reader.bytes(compression, COMPRESSION.checkpoints)
        .length,
    };
  }

  head(): ZtocHead {
    const reader = this.#reader;
    const root = reader.root();
    return {
      version: this.#text(root, ZTOC.version),
      buildTool: this.#text(root, ZTOC.buildTool),
      compressedSize: this.#size(root, ZTOC.compressedSize),
      uncompressedSize: this.#size(root, ZTOC.uncompressedSize),
      ...this.#compression(this.#child(root, ZTOC.compression, "compression")),
    };
  }

  /**
   * Headers are not in the ztoc: an entry's begins where the data before it ends, so every entry must
   * leave room for its header and lie inside the tar.
   */
  *entries(uncompressedSize: number): Generator<ZtocEntry, void, void> {
    const toc = this.#child(this.#reader.root(), ZTOC.toc, "toc");
    const { count, target } = this.#reader.references(toc, TOC.metadata);
    if (count > MAX_ENTRIES) {
      throw new ZtocError("too-large", toc.at, `${count} entries`);
    }
    let header = 0;
    for (let i = 0; i < count; i++) {
      const entry = this.#entry(target(i));
      const { offset, size } = entry;
      if (offset < header + BLOCK_BYTES || offset + size > uncompressedSize) {
        throw new ZtocError(
          "order",
          -1,
          `entry ${i} at ${offset}, ${size} bytes, does not fit after ${header}`,
        );
      }
      header = wholeBlocks(offset + size);
      yield entry;
    }
  }

  #child(table: Table, slot: number, what: string): Table {
    const child = this.#reader.child(table, slot);
    if (child === null) {
      throw new ZtocError("missing", table.at, `no ${what}`);
    }
    return child;
  }

  #size(table: Table, slot: number): number {
    const value = this.#reader.int64(table, slot);
    if (value < 0) throw new ZtocError("value", table.at, "negative size");
    return value;
  }

  #text(table: Table, slot: number): string {
    return this.#asText(this.#reader.bytes(table, slot), table.at);
  }

  #asText(bytes: Uint8Array, at: number): string {
    const length = bytes.length;
    let ascii = length <= MAX_TEXT_BYTES;
    for (let i = 0; ascii && i < length; i++) ascii = bytes[i]! < 0x80;
    if (!ascii) {
      throw new ZtocError("value", at, "a text is too long or not ASCII");
    }
    return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }

  #type(table: Table): TarEntryType {
    const bytes = this.#reader.bytes(table, FILE.type);
    const type = TYPES.find((known) => isSame(known.bytes, bytes))?.type;
    if (type === undefined) {
      throw new ZtocError("value", table.at, "unknown entry type");
    }
    return type;
  }

  #modTime(table: Table): string {
    const bytes = this.#reader.bytes(table, FILE.modTime);
    const last = this.#lastTime;
    if (isSame(last.bytes, bytes)) return last.text;
    const text = this.#asText(bytes, table.at);
    this.#lastTime = { bytes, text };
    return text;
  }

  /** A name that many entries share: one view of it serves them all. */
  #name(table: Table, slot: number): Uint8Array {
    const bytes = this.#reader.bytes(table, slot);
    const known = this.#names.find((name) => isSame(name, bytes));
    if (known !== undefined) return known;
    this.#names[this.#nextName++ % MAX_NAMES] = bytes;
    return bytes;
  }

  #path(table: Table, slot: number): Uint8Array {
    const bytes = this.#reader.bytes(table, slot);
    if (bytes.length > MAX_PATH_BYTES) {
      throw new ZtocError("too-large", table.at, "a path is over 64 KiB");
    }
    return bytes;
  }

  #entry(at: number): ZtocEntry {
    const reader = this.#reader;
    const table = reader.table(at);
    return {
      name: this.#path(table, FILE.name),
      type: this.#type(table),
      offset: this.#size(table, FILE.offset),
      size: this.#size(table, FILE.size),
      linkname: this.#path(table, FILE.linkname),
      mode: reader.int64(table, FILE.mode),
      uid: reader.uint32(table, FILE.uid),
      gid: reader.uint32(table, FILE.gid),
      uname: this.#name(table, FILE.uname),
      gname: this.#name(table, FILE.gname),
      modTime: this.#modTime(table),
      devMajor: reader.int64(table, FILE.devMajor),
      devMinor: reader.int64(table, FILE.devMinor),
      xattrs: this.#xattrs(table),
    };
  }

  #xattrs(file: Table): ZtocEntry["xattrs"] {
    const { count, target } = this.#reader.references(file, FILE.xattrs);
    if (count === 0) return NO_XATTRS;
    this.#records += count;
    if (this.#records > MAX_RECORDS) {
      throw new ZtocError("too-large", file.at, "too many PAX records");
    }
    const xattrs: Array<[Uint8Array, Uint8Array]> = [];
    for (let i = 0; i < count; i++) {
      const table = this.#reader.table(target(i));
      const key = this.#name(table, XATTR.key);
      if (isSparseKey(key)) {
        // The existing tools list such a file with its size, which is not that of its bytes in the tar.
        throw new ZtocError("sparse", table.at, "it lists a sparse file");
      }
      xattrs.push([key, this.#reader.bytes(table, XATTR.value)]);
    }
    return xattrs;
  }

  #compression(
    table: Table,
  ): Pick<Ztoc, "compression" | "spanDigests" | "checkpoints"> {
    const reader = this.#reader;
    const algorithm = reader.byte(table, COMPRESSION.algorithm, ALGORITHM.gzip);
    const compression = (Object.keys(ALGORITHM) as ZtocCompression[])
      .find((name) => ALGORITHM[name] === algorithm);
    if (compression === undefined) {
      throw new ZtocError("value", table.at, `compression ${algorithm}`);
    }
    const { count, target } = reader.references(table, COMPRESSION.spanDigests);
    const maxSpanId = reader.int32(table, COMPRESSION.maxSpanId);
    if (maxSpanId !== count - 1) {
      throw new ZtocError(
        "count",
        table.at,
        `last span is ${maxSpanId}, and there are ${count} digests`,
      );
    }
    if (count > MAX_SPANS) {
      throw new ZtocError("too-large", table.at, `${count} spans`);
    }
    const spanDigests: Digest[] = [];
    for (let i = 0; i < count; i++) {
      const at = target(i);
      const digest = String.fromCharCode(...reader.bytesAt(at).subarray(0, 80));
      if (!isDigest(digest)) {
        throw new ZtocError("value", at, `digest of span ${i}`);
      }
      spanDigests.push(digest);
    }
    const checkpoints = reader.bytes(table, COMPRESSION.checkpoints);
    return { compression, spanDigests, checkpoints };
  }
}
