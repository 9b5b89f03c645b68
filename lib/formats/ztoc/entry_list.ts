import type { TarEntry, TarEntryType } from "../tar/mod.ts";
import { mostEntryBytes } from "./encode.ts";
import { formatModTime } from "./mod_time.ts";
import type { ZtocEntry } from "./model.ts";

const TYPES: readonly TarEntryType[] = [
  "reg",
  "dir",
  "symlink",
  "hardlink",
  "char",
  "block",
  "fifo",
];
const CHUNK_BYTES = 2 ** 20;

/** Where the numbers of a record lie. */
const AT = {
  offset: 0,
  size: 8,
  mode: 16,
  devMajor: 24,
  devMinor: 32,
  seconds: 40,
  nanos: 48,
  uid: 52,
  gid: 56,
  nameLength: 60,
  linknameLength: 64,
  unameLength: 68,
  gnameLength: 72,
  records: 76,
  type: 80,
} as const;
const HEADER_BYTES = 84;

const NO_XATTRS: ZtocEntry["xattrs"] = [];

/**
 * The entries of a layer that is being read, packed into a few large buffers. An object with its byte
 * arrays takes more than a kilobyte per file; a record here takes a tenth of that.
 */
export class EntryList {
  readonly #chunks: DataView<ArrayBuffer>[] = [];
  /** Bytes used of the last chunk. */
  #used = 0;
  /** Where each entry's record begins: chunk · CHUNK_BYTES + place, larger chunks counted as one. */
  readonly #places: number[] = [];
  #mostBytes = 0;

  /** Entries so far. */
  get length(): number {
    return this.#places.length;
  }

  /** The most bytes that all entries take in a ztoc. */
  get mostBytes(): number {
    return this.#mostBytes;
  }

  /** Copies an entry of the tar. */
  add(entry: TarEntry): void {
    const { name, linkname, uname, gname, pax, mtime } = entry;
    this.#mostBytes += mostEntryBytes({
      name,
      linkname,
      uname,
      gname,
      records: pax,
    });
    let length = HEADER_BYTES + name.length + linkname.length + uname.length +
      gname.length;
    for (const [key, value] of pax) length += 8 + key.length + value.length;
    const view = this.#room(length);
    let at = this.#used;
    this.#places.push((this.#chunks.length - 1) * CHUNK_BYTES + at);
    view.setFloat64(at + AT.offset, entry.offset);
    view.setFloat64(at + AT.size, entry.size);
    view.setFloat64(at + AT.mode, entry.mode);
    view.setFloat64(at + AT.devMajor, entry.devMajor);
    view.setFloat64(at + AT.devMinor, entry.devMinor);
    view.setFloat64(at + AT.seconds, mtime.seconds);
    view.setUint32(at + AT.nanos, mtime.nanos);
    // As Go's conversion does it: modulo 2^32.
    view.setUint32(at + AT.uid, entry.uid);
    view.setUint32(at + AT.gid, entry.gid);
    view.setUint32(at + AT.nameLength, name.length);
    view.setUint32(at + AT.linknameLength, linkname.length);
    view.setUint32(at + AT.unameLength, uname.length);
    view.setUint32(at + AT.gnameLength, gname.length);
    view.setUint32(at + AT.records, pax.length);
    view.setUint8(at + AT.type, TYPES.indexOf(entry.type));
    at += HEADER_BYTES;
    const bytes = new Uint8Array(view.buffer);
    const put = (part: Uint8Array) => {
      bytes.set(part, at);
      at += part.length;
    };
    put(name);
    put(linkname);
    put(uname);
    put(gname);
    for (const [key, value] of pax) {
      view.setUint32(at, key.length);
      view.setUint32(at + 4, value.length);
      at += 8;
      put(key);
      put(value);
    }
    this.#used = at;
  }

  /** One entry; its bytes are views of the list's own. */
  get(index: number): ZtocEntry {
    const place = this.#places[index]!;
    const view = this.#chunks[Math.floor(place / CHUNK_BYTES)]!;
    const start = place % CHUNK_BYTES;
    let at = start + HEADER_BYTES;
    const take = (length: number) => {
      const part = new Uint8Array(view.buffer, at, length);
      at += length;
      return part;
    };
    const length = (field: number) => view.getUint32(start + field);
    const name = take(length(AT.nameLength));
    const linkname = take(length(AT.linknameLength));
    const uname = take(length(AT.unameLength));
    const gname = take(length(AT.gnameLength));
    const records = length(AT.records);
    return {
      name,
      type: TYPES[view.getUint8(start + AT.type)]!,
      offset: view.getFloat64(start + AT.offset),
      size: view.getFloat64(start + AT.size),
      linkname,
      mode: view.getFloat64(start + AT.mode),
      uid: view.getUint32(start + AT.uid),
      gid: view.getUint32(start + AT.gid),
      uname,
      gname,
      modTime: formatModTime({
        seconds: view.getFloat64(start + AT.seconds),
        nanos: view.getUint32(start + AT.nanos),
      }),
      devMajor: view.getFloat64(start + AT.devMajor),
      devMinor: view.getFloat64(start + AT.devMinor),
      xattrs: records === 0
        ? NO_XATTRS
        : Array.from({ length: records }, () => {
          const keyLength = view.getUint32(at);
          const valueLength = view.getUint32(at + 4);
          at += 8;
          return [take(keyLength), take(valueLength)] as const;
        }),
    };
  }

  /** All entries, as they are in a ztoc. */
  toArray(): ZtocEntry[] {
    return Array.from({ length: this.length }, (_, index) => this.get(index));
  }

  /** The chunk in which the next `length` bytes go. */
  #room(length: number): DataView<ArrayBuffer> {
    const last = this.#chunks.at(-1);
    if (last !== undefined && this.#used + length <= last.byteLength) {
      return last;
    }
    const chunk = new DataView(
      new ArrayBuffer(Math.max(CHUNK_BYTES, length)),
    );
    this.#chunks.push(chunk);
    this.#used = 0;
    return chunk;
  }
}
