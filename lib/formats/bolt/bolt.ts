/** The file is no bbolt database, or a damaged one. */
export class BoltError extends Error {
  static {
    this.prototype.name = "BoltError";
  }
}

const PAGE_HEADER = 16;
const ELEMENT = 16;
const META_BYTES = 64;
/** Bytes of a meta page that its checksum covers. */
const SUMMED_BYTES = 56;
const MAGIC = 0xed0cdaed;
const VERSION = 2;
const BUCKET_HEADER = 16;
/** Kinds of page. */
const BRANCH = 1;
const LEAF = 2;
/** Flag of an element whose value is a bucket. */
const IS_BUCKET = 1;
/** A tree of this depth has more entries than a file can hold. */
const MAX_DEPTH = 32;
const MIN_PAGE = 512;
const MAX_PAGE = 2 ** 17;
/** The page sizes that a second meta page is looked for at, where the first is damaged. */
const PAGE_SIZES = [4096, 16_384, 65_536];
const TEXT = new TextDecoder();

/** Whether a file that begins with these bytes is a bbolt database. @param head at least its first 24 bytes */
export function isBolt(head: Uint8Array): boolean {
  if (head.length < PAGE_HEADER + 8) return false;
  const view = viewOf(head);
  return view.getUint32(PAGE_HEADER, true) === MAGIC &&
    view.getUint32(PAGE_HEADER + 4, true) === VERSION;
}

/** The root bucket of a database. @param bytes the whole file; it stays the caller's. @throws BoltError */
export function boltRoot(bytes: Uint8Array): BoltBucket {
  const first = metaAt(bytes, 0);
  const second = [...(first === null ? PAGE_SIZES : [first.pageSize])]
    .map((pageSize) => metaAt(bytes, pageSize))
    .find((meta) => meta !== null) ?? null;
  const meta = first === null || (second !== null && second.txid > first.txid)
    ? second
    : first;
  if (meta === null) throw new BoltError("it has no valid meta page");
  const pages = new Pages(bytes, meta.pageSize);
  return new Bucket(pages, pages.page(meta.root), 0);
}

interface Meta {
  readonly pageSize: number;
  /** Number of the root bucket's page. */
  readonly root: bigint;
  readonly txid: bigint;
}

function metaAt(bytes: Uint8Array, offset: number): Meta | null {
  const start = offset + PAGE_HEADER;
  if (start + META_BYTES > bytes.length) return null;
  const part = bytes.subarray(start, start + META_BYTES);
  const view = viewOf(part);
  if (view.getUint32(0, true) !== MAGIC) return null;
  if (view.getUint32(4, true) !== VERSION) return null;
  if (
    fnv64a(part.subarray(0, SUMMED_BYTES)) !== view.getBigUint64(56, true)
  ) return null;
  const pageSize = view.getUint32(8, true);
  if (pageSize < MIN_PAGE || pageSize > MAX_PAGE) return null;
  return {
    pageSize,
    root: view.getBigUint64(16, true),
    txid: view.getBigUint64(48, true),
  };
}

function fnv64a(bytes: Uint8Array): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}

/** One element of a page. */
interface Element {
  readonly isBucket: boolean;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Of a branch: the page below. */
  readonly below: bigint;
}

/** The pages of one file. */
class Pages {
  readonly #bytes: Uint8Array;
  readonly #pageSize: number;

  constructor(bytes: Uint8Array, pageSize: number) {
    this.#bytes = bytes;
    this.#pageSize = pageSize;
  }

  /** A page with those that it goes on in. @throws BoltError */
  page(id: bigint): Uint8Array {
    const count = BigInt(Math.floor(this.#bytes.length / this.#pageSize));
    if (id < 2n || id >= count) {
      throw new BoltError(`page ${id} is not in it`);
    }
    const start = Number(id) * this.#pageSize;
    const header = viewOf(this.#bytes.subarray(start, start + PAGE_HEADER));
    const overflow = header.getUint32(12, true);
    const end = start + (overflow + 1) * this.#pageSize;
    if (end > this.#bytes.length) {
      throw new BoltError(`page ${id} goes on past its end`);
    }
    return this.#bytes.subarray(start, end);
  }
}

/** An entry of a bucket: a value or a bucket of its own. */
export type BoltEntry =
  | { readonly key: string; readonly value: Uint8Array }
  | { readonly key: string; readonly bucket: BoltBucket };

/** A bucket: entries by key, in the order of their bytes. */
export interface BoltBucket {
  /** All entries. @throws BoltError */
  entries(): Iterable<BoltEntry>;
  /** The bucket of that name; null when there is none. @throws BoltError */
  bucket(name: string): BoltBucket | null;
  /** The values, without the buckets. @throws BoltError */
  values(): ReadonlyMap<string, Uint8Array>;
}

class Bucket implements BoltBucket {
  readonly #pages: Pages;
  readonly #top: Uint8Array;
  /** In how many buckets it lies. */
  readonly #level: number;

  constructor(pages: Pages, top: Uint8Array, level: number) {
    if (level > MAX_DEPTH) throw new BoltError("its buckets make a circle");
    this.#pages = pages;
    this.#top = top;
    this.#level = level;
  }

  *entries(): Generator<BoltEntry> {
    for (const { isBucket, key: bytes, value } of this.#elements(this.#top)) {
      const key = TEXT.decode(bytes);
      yield isBucket ? { key, bucket: this.#bucketIn(value) } : { key, value };
    }
  }

  bucket(name: string): BoltBucket | null {
    for (const entry of this.entries()) {
      if (entry.key === name && "bucket" in entry) return entry.bucket;
    }
    return null;
  }

  values(): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    for (const entry of this.entries()) {
      if ("value" in entry) found.set(entry.key, entry.value);
    }
    return found;
  }

  *#elements(page: Uint8Array, depth = 0): Generator<Element> {
    if (depth > MAX_DEPTH) throw new BoltError("its tree has a circle");
    const kind = viewOf(page).getUint16(8, true);
    if (kind === LEAF) yield* elementsOf(page, "leaf");
    else if (kind === BRANCH) {
      for (const { below } of elementsOf(page, "branch")) {
        yield* this.#elements(this.#pages.page(below), depth + 1);
      }
    } else throw new BoltError(`a page of its tree is of kind ${kind}`);
  }

  #bucketIn(value: Uint8Array): BoltBucket {
    if (value.length < BUCKET_HEADER) {
      throw new BoltError("a bucket's entry is cut");
    }
    const level = this.#level + 1;
    const root = viewOf(value).getBigUint64(0, true);
    if (root !== 0n) {
      return new Bucket(this.#pages, this.#pages.page(root), level);
    }
    const inline = value.subarray(BUCKET_HEADER);
    if (inline.length < PAGE_HEADER) {
      throw new BoltError("a bucket within an entry is cut");
    }
    return new Bucket(this.#pages, inline, level);
  }
}

function* elementsOf(
  page: Uint8Array,
  kind: "leaf" | "branch",
): Generator<Element> {
  const view = viewOf(page);
  const count = view.getUint16(10, true);
  if (PAGE_HEADER + count * ELEMENT > page.length) {
    throw new BoltError("a page has more entries than room");
  }
  for (let i = 0; i < count; i++) {
    const at = PAGE_HEADER + i * ELEMENT;
    const leaf = kind === "leaf";
    const start = at + view.getUint32(leaf ? at + 4 : at, true);
    const keyBytes = view.getUint32(leaf ? at + 8 : at + 4, true);
    const valueBytes = leaf ? view.getUint32(at + 12, true) : 0;
    if (start + keyBytes + valueBytes > page.length) {
      throw new BoltError("an entry lies outside its page");
    }
    yield {
      isBucket: leaf && (view.getUint32(at, true) & IS_BUCKET) !== 0,
      key: page.subarray(start, start + keyBytes),
      value: page.subarray(start + keyBytes, start + keyBytes + valueBytes),
      below: leaf ? 0n : view.getBigUint64(at + 8, true),
    };
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
