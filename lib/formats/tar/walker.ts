import {
  MAX_EXTENSION_BYTES,
  MAX_PATH_BYTES,
  type TarEntry,
  type TarEntryType,
  type TarTime,
  TYPE_FLAG,
} from "./entry.ts";
import { BLOCK_BYTES } from "./block.ts";
import { TarError } from "./errors.ts";
import { cString, decimal, paxTime } from "./fields.ts";
import { isZeroBlock, type RawHeader, readHeaderBlock } from "./header.ts";
import { byteText, parsePax, type PaxRecord, sortedRecords } from "./pax.ts";

/** What a {@link TarWalker} calls. */
export interface TarWalkerOptions {
  /** Called with every entry, in tar order, as soon as its headers are complete. */
  readonly onEntry: (entry: TarEntry) => void;
}

/** Entry type by typeflag; every other flag is an extension, skipped, or not supported. */
const ENTRY_TYPE: ReadonlyMap<string, TarEntryType> = new Map([
  ...(Object.keys(TYPE_FLAG) as TarEntryType[]).map((type) =>
    [TYPE_FLAG[type], type] as const
  ),
  // "Contiguous": a hint to file systems that are no more.
  ["7", "reg"],
]);

/**
 * Typeflags that say nothing of a file, with data that is stepped over: `V` the archive's label (GNU),
 * `A` access rules (Solaris).
 */
const PASSED_OVER = new Set(["V", "A"]);

const SLASH = 0x2f;
const NO_PAX: ReadonlyMap<string, PaxRecord> = new Map();

/**
 * Where the walk stands.
 * ```text
 * header ──x L K g─► extension ──► skip ──► header      (x, L, K are kept for the next entry)
 *   │ └──entry────► skip ──► header
 *   └──zero block─► marker ──zero block──► end
 * ```
 */
type State = "header" | "marker" | "extension" | "skip" | "end";

/** Walks one tar; see the folder's comment. A walker that threw is not to be used again. */
export class TarWalker {
  readonly #onEntry: (entry: TarEntry) => void;
  #state: State = "header";
  /** Bytes walked so far. */
  #position = 0;
  /** Bytes still to step over in `skip`; the padding is the part that may be missing at the end. */
  #skip = 0;
  #padding = 0;
  /** Collects a header block or an extension that is spread over chunks. */
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #buffer: Uint8Array = this.#block;
  #filled = 0;
  /** The extension being collected. */
  #extension: RawHeader | null = null;
  #extensionOffset = 0;
  /** Extensions met since the last entry. */
  #pax = NO_PAX;
  #longName: Uint8Array | null = null;
  #longLink: Uint8Array | null = null;
  #headerOffset = 0;
  #sizeAtMarker = 0;

  /** A walk that has seen nothing yet. */
  constructor(options: TarWalkerOptions) {
    this.#onEntry = options.onEntry;
  }

  /**
   * Walks on. The chunk may be reused after the call.
   * @throws TarError
   */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === "end") {
        this.#position += chunk.length - at;
        return;
      }
      if (this.#state === "skip") {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        this.#position += step;
        at += step;
        if (this.#skip === 0) this.#state = "header";
        continue;
      }
      if (
        this.#filled === 0 && this.#buffer === this.#block &&
        chunk.length - at >= BLOCK_BYTES
      ) {
        // The common case: the block lies in this chunk and need not be copied.
        this.#position += BLOCK_BYTES;
        this.#takeBlock(chunk.subarray(at, at + BLOCK_BYTES));
        at += BLOCK_BYTES;
        continue;
      }
      const step = Math.min(
        this.#buffer.length - this.#filled,
        chunk.length - at,
      );
      this.#buffer.set(chunk.subarray(at, at + step), this.#filled);
      this.#filled += step;
      this.#position += step;
      at += step;
      if (this.#filled === this.#buffer.length) {
        this.#filled = 0;
        if (this.#state === "extension") this.#takeExtension();
        else this.#takeBlock(this.#block);
      }
    }
  }

  /**
   * Tells that the tar is over.
   * @returns the position after the end marker, or the end of a tar that has none: where Go's reader
   * stands, which is what the ztoc calls the uncompressed size.
   * @throws TarError when it stops inside an entry.
   */
  finish(): { readonly size: number } {
    if (this.#state === "end") return { size: this.#sizeAtMarker };
    // Padding after the last entry's data may be missing, and so may one or both zero blocks.
    const inPadding = this.#state === "skip" && this.#skip <= this.#padding;
    const betweenEntries = this.#filled === 0 && this.#extension === null &&
      (this.#state === "header" || this.#state === "marker");
    if (!inPadding && !betweenEntries) {
      throw new TarError("truncated", this.#position, "the tar breaks off");
    }
    return { size: this.#position };
  }

  #takeBlock(block: Uint8Array): void {
    const offset = this.#position - BLOCK_BYTES;
    if (isZeroBlock(block)) {
      if (this.#state === "marker") {
        this.#state = "end";
        this.#sizeAtMarker = this.#position;
      } else {
        this.#state = "marker";
      }
      return;
    }
    if (this.#state === "marker") {
      throw new TarError("header", offset, "data after a single zero block");
    }
    const header = readHeaderBlock(block, offset);
    if (!this.#hasExtensions()) this.#headerOffset = offset;
    const flag = String.fromCharCode(header.typeflag);
    if (flag === "x" || flag === "g" || flag === "L" || flag === "K") {
      this.#startExtension(header, offset);
    } else if (PASSED_OVER.has(flag)) {
      this.#passOver(header, offset);
    } else {
      this.#takeEntry(header, flag, offset);
    }
  }

  #hasExtensions(): boolean {
    return this.#pax !== NO_PAX || this.#longName !== null ||
      this.#longLink !== null;
  }

  #startExtension(header: RawHeader, offset: number): void {
    checkExtensionSize(header.size, offset);
    this.#extension = header;
    this.#extensionOffset = offset;
    if (header.size === 0) {
      this.#buffer = new Uint8Array(0);
      this.#takeExtension();
      return;
    }
    this.#buffer = new Uint8Array(header.size);
    this.#state = "extension";
  }

  #takeExtension(): void {
    const { typeflag, size } = this.#extension!;
    const data = this.#buffer;
    this.#buffer = this.#block;
    this.#extension = null;
    switch (String.fromCharCode(typeflag)) {
      case "x":
        this.#pax = parsePax(data, this.#extensionOffset);
        break;
      case "g":
        // containerd and Docker ignore its contents when they unpack, so it is only checked.
        parsePax(data, this.#extensionOffset);
        this.#forgetExtensions();
        break;
      case "L":
        this.#longName = cString(data);
        break;
      case "K":
        this.#longLink = cString(data);
        break;
    }
    this.#skipData(0, size);
  }

  /** Steps over `rest` bytes and the padding that `size` bytes need. */
  #skipData(rest: number, size: number): void {
    const over = size % BLOCK_BYTES;
    this.#padding = over === 0 ? 0 : BLOCK_BYTES - over;
    this.#skip = rest + this.#padding;
    this.#state = this.#skip === 0 ? "header" : "skip";
  }

  #takeEntry(header: RawHeader, flag: string, offset: number): void {
    const mtime = this.#mergePax(header, offset);
    if (this.#longName?.length) header.name = this.#longName;
    if (this.#longLink?.length) header.linkname = this.#longLink;
    // Old archives say "regular" for everything, and name directories with a slash.
    const type = flag === "\0"
      ? header.name.at(-1) === SLASH ? "dir" : "reg"
      : ENTRY_TYPE.get(flag);
    if (type === undefined) throw unsupported(flag, offset);
    if (
      header.name.length > MAX_PATH_BYTES ||
      header.linkname.length > MAX_PATH_BYTES
    ) {
      throw new TarError("too-long", offset, "a path is over 64 KiB");
    }
    const size = type === "reg" ? header.size : 0;
    if (size < 0 || this.#position + size > Number.MAX_SAFE_INTEGER - 1024) {
      throw new TarError("number", offset, `an entry of ${size} bytes`);
    }
    const entry: TarEntry = {
      name: header.name,
      type,
      linkname: header.linkname,
      offset: this.#position,
      headerOffset: this.#headerOffset,
      size,
      mode: header.mode,
      uid: header.uid,
      gid: header.gid,
      uname: header.uname,
      gname: header.gname,
      mtime,
      devMajor: header.devMajor,
      devMinor: header.devMinor,
      pax: sortedRecords(this.#pax),
    };
    this.#forgetExtensions();
    this.#skipData(size, size);
    this.#onEntry(entry);
  }

  /** Skips an entry that makes no file, together with its extensions. */
  #passOver({ size }: RawHeader, offset: number): void {
    checkExtensionSize(size, offset);
    this.#forgetExtensions();
    this.#skipData(size, size);
  }

  #forgetExtensions(): void {
    this.#pax = NO_PAX;
    this.#longName = null;
    this.#longLink = null;
  }

  /** Lets PAX records replace header fields; an empty value replaces nothing. */
  #mergePax(header: RawHeader, offset: number): TarTime {
    const text = (key: string): string | undefined => {
      const value = this.#pax.get(key)?.value;
      return value?.length ? byteText(value) : undefined;
    };
    const number = (key: string, otherwise: number): number => {
      const value = text(key);
      const parsed = value === undefined ? otherwise : decimal(value);
      if (parsed === null) {
        throw new TarError("pax", offset, `PAX record ${key} is no number`);
      }
      return parsed;
    };
    const time = (key: string): TarTime | undefined => {
      const value = text(key);
      const parsed = value === undefined ? undefined : paxTime(value);
      if (parsed === null) {
        throw new TarError("pax", offset, `PAX record ${key} is no time`);
      }
      return parsed;
    };
    const string = (key: string, otherwise: Uint8Array): Uint8Array => {
      const value = this.#pax.get(key)?.value;
      return value?.length ? value : otherwise;
    };
    const mtime = { seconds: header.mtimeSeconds, nanos: 0 };
    if (this.#pax === NO_PAX) return mtime;
    header.name = string("path", header.name);
    header.linkname = string("linkpath", header.linkname);
    header.uname = string("uname", header.uname);
    header.gname = string("gname", header.gname);
    header.uid = number("uid", header.uid);
    header.gid = number("gid", header.gid);
    header.size = number("size", header.size);
    // Not kept, but Go refuses the header when they are broken.
    time("atime");
    time("ctime");
    return time("mtime") ?? mtime;
  }
}

function checkExtensionSize(size: number, offset: number): void {
  if (size < 0 || size > MAX_EXTENSION_BYTES) {
    throw new TarError(
      "too-long",
      offset,
      `extended header of ${size} bytes, over ${MAX_EXTENSION_BYTES}`,
    );
  }
}

function unsupported(flag: string, offset: number): TarError {
  if (flag === "S") {
    return new TarError("sparse", offset, "sparse file (GNU type S)");
  }
  return new TarError(
    "unsupported-type",
    offset,
    `entry type ${JSON.stringify(flag)} cannot be indexed`,
  );
}

/**
 * Reads the header of one entry from the bytes between its header offset and its data.
 * @throws TarError when they are anything but exactly that.
 */
export function parseHeader(bytes: Uint8Array): TarEntry {
  let found: TarEntry | undefined;
  new TarWalker({ onEntry: (entry) => found ??= entry }).push(bytes);
  if (found === undefined || found.offset !== bytes.length) {
    throw new TarError("header", 0, "these bytes are not one entry's header");
  }
  return found;
}

/**
 * Checks that bytes between two entries hold only what a walk skips: global headers and labels.
 * @throws TarError when they hold an entry, or break off.
 */
export function assertPassedOver(bytes: Uint8Array): void {
  const walker = new TarWalker({
    onEntry: ({ headerOffset }) => {
      throw new TarError("header", headerOffset, "an entry is passed over");
    },
  });
  walker.push(bytes);
  walker.finish();
}
