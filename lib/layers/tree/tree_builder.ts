import { parseModTime, type ZtocEntry } from "../../formats/ztoc/mod.ts";
import { encodeDevice, S } from "./modes.ts";
import {
  CollisionError,
  DirentTable,
  grown,
  type NameId,
  NameTable,
} from "./name_table.ts";

/** The file list cannot be a tree: a path escapes, a link has no target, a bound is broken. */
export class TreeCompileError extends Error {
  static {
    this.prototype.name = "TreeCompileError";
  }
  /** The message names the entry. @param entry its index in the ztoc. */
  constructor(readonly entry: number, detail: string) {
    super(`ztoc entry ${entry}: ${detail}`);
  }
}

/** Deepest directory: the kernel's PATH_MAX leaves no room for more. */
const MAX_DEPTH = 2048;
const MAX_NAME_BYTES = 255;
const MAX_TARGET_BYTES = 4095;
/** S_ISUID, S_ISGID, S_ISVTX and the permission bits. */
const PERMISSIONS = 0o7777;
/** The only mode of a symlink on Linux: unpacking ignores the tar's mode. */
const LINK_MODE = S.IFLNK | 0o777;
const SLASH = 0x2f;
const DOT = 0x2e;

const ascii = (text: string) => new TextEncoder().encode(text);
const WHITEOUT_PREFIX = ascii(".wh.");
const WHITEOUT_META_PREFIX = ascii(".wh..wh.");
const OPAQUE_MARK = ascii(".wh..wh..opq");
const XATTR_PREFIX = ascii("SCHILY.xattr.");
const TRUSTED_PREFIX = ascii("trusted.");
const OPAQUE_KEY = ascii("trusted.overlay.opaque");
const OPAQUE_VALUE = ascii("y");
const MAX_XATTR_VALUE_BYTES = 65536;

const FILE_TYPE: Readonly<Record<ZtocEntry["type"], number>> = {
  reg: S.IFREG,
  hardlink: S.IFREG,
  dir: S.IFDIR,
  symlink: S.IFLNK,
  char: S.IFCHR,
  block: S.IFBLK,
  fifo: S.IFIFO,
};

/** Numbers of an attribute's name and value in the name table. */
export interface XattrIds {
  readonly key: NameId;
  readonly value: NameId;
}

function startsWith(
  bytes: Uint8Array,
  start: number,
  end: number,
  prefix: Uint8Array,
): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (bytes[start + i] !== prefix[i]) return false;
  }
  return true;
}

/**
 * Puts entries, in tar order, into a tree of numbered inodes; the root is 0. It uses columns and hash
 * tables of numbers instead of an object per file: a layer may have a million files.
 */
export class TreeBuilder {
  readonly names = new NameTable();
  readonly dirents = new DirentTable();
  inodes = 0;
  mode = new Uint32Array(1 << 12);
  uid = new Uint32Array(1 << 12);
  gid = new Uint32Array(1 << 12);
  rdev = new Uint32Array(1 << 12);
  mtimeNanos = new Uint32Array(1 << 12);
  /** Name number of a symlink's target. */
  target = new Uint32Array(1 << 12);
  size = new Float64Array(1 << 12);
  dataOffset = new Float64Array(1 << 12);
  mtimeSeconds = new Float64Array(1 << 12);
  /** Of the few inodes that have any. */
  readonly xattrs = new Map<number, XattrIds[]>();

  readonly #dataSize: number;
  readonly #opaqueKey = this.#intern(OPAQUE_KEY);
  readonly #opaqueValue = this.#intern(OPAQUE_VALUE);
  /** The last entry's directory part, and its inode; -1 when it must be looked up again. */
  #lastName: Uint8Array = new Uint8Array(0);
  #lastEnd = 0;
  #lastParent = -1;
  #lastTime = "";
  #lastSeconds = 0;
  #lastNanos = 0;

  /** @param dataSize bytes of the tar: no file's data may extend beyond it. */
  constructor(dataSize: number) {
    this.#dataSize = dataSize;
    this.#newDirectory();
  }

  #intern(bytes: Uint8Array): NameId {
    return this.names.put(bytes, 0, bytes.length);
  }

  /** @throws TreeCompileError */
  add(entry: ZtocEntry, number: number): void {
    try {
      this.#add(entry, number);
    } catch (error) {
      if (error instanceof CollisionError) {
        throw new TreeCompileError(number, error.message);
      }
      throw error;
    }
  }

  #add(entry: ZtocEntry, number: number): void {
    const { name } = entry;
    let end = trimmedEnd(name);
    const start = lastComponent(name, end);
    // `a/.` names the directory `a`: rare, so it takes the slow path.
    if (end - start === 1 && name[start] === DOT) {
      end = trimmedEnd(name.subarray(0, start));
      if (end > 0) {
        return this.#add({ ...entry, name: name.subarray(0, end) }, number);
      }
    }
    if (end === 0) { // the root itself
      if (entry.type === "dir") this.#applyMetadata(0, entry);
      return;
    }
    const whiteout = startsWith(name, start, end, WHITEOUT_PREFIX);
    // A whiteout's prefix does not count: the name that it hides may have the full length.
    this.#checkComponent(name, start, end, number, whiteout ? 4 : 0);
    const parent = this.#parentOf(name, start, number);
    if (whiteout) return this.#whiteout(parent, name, start, end);
    const id = this.names.put(name, start, end);
    if (entry.type === "hardlink") return this.#link(parent, id, entry, number);
    const existing = this.dirents.find(parent, id);
    const wasDirectory = existing >= 0 && this.#isDirectory(existing);
    if (entry.type === "dir" && wasDirectory) {
      this.#applyMetadata(existing, entry); // a directory again: its children stay
      return;
    }
    if (wasDirectory) this.#lastParent = -1; // it may be the directory that is replaced
    const inode = this.#newInode();
    this.#applyMetadata(inode, entry);
    this.#applyContent(inode, entry, number);
    this.dirents.set(parent, id, inode);
  }

  #applyContent(inode: number, entry: ZtocEntry, number: number): void {
    if (entry.type === "reg") {
      if (entry.size > 0 && entry.offset + entry.size > this.#dataSize) {
        throw new TreeCompileError(number, "its data ends after the layer");
      }
      this.size[inode] = entry.size;
      this.dataOffset[inode] = entry.offset;
    } else if (entry.type === "symlink") {
      const { linkname } = entry;
      if (
        linkname.length === 0 || linkname.length > MAX_TARGET_BYTES ||
        linkname.includes(0)
      ) {
        throw new TreeCompileError(number, "link target is not a path");
      }
      this.size[inode] = linkname.length;
      this.target[inode] = this.#intern(linkname);
    } else if (entry.type === "dir") {
      this.size[inode] = 4096;
    } else if (entry.type === "char" || entry.type === "block") {
      this.rdev[inode] = encodeDevice(entry.devMajor, entry.devMinor);
    }
  }

  #link(parent: number, id: NameId, entry: ZtocEntry, number: number): void {
    const target = this.#linkTarget(entry, number);
    // The link's header sets the file's metadata: unpacking would apply it last.
    const type = (this.mode[target] as number) & S.IFMT;
    const xattrs = this.xattrs.get(target);
    this.#applyMetadata(target, entry);
    this.mode[target] = type === S.IFLNK
      ? LINK_MODE
      : ((this.mode[target] as number) & ~S.IFMT) | type;
    if (xattrs === undefined) this.xattrs.delete(target);
    else this.xattrs.set(target, xattrs);
    this.dirents.set(parent, id, target);
    this.#lastParent = -1; // a directory may have been replaced
  }

  #linkTarget(entry: ZtocEntry, number: number): number {
    const { linkname } = entry;
    let node = 0;
    for (const [start, end] of this.#components(linkname, number)) {
      if (node >= 0 && !this.#isDirectory(node)) node = -1;
      if (node >= 0) {
        node = this.dirents.find(node, this.names.put(linkname, start, end));
      }
    }
    if (node < 0) {
      throw new TreeCompileError(
        number,
        "hard link to a file that is not here",
      );
    }
    if (this.#isDirectory(node)) {
      throw new TreeCompileError(number, "hard link to a directory");
    }
    return node;
  }

  /** The directory `name[0 … end)`, made with mode 0755 where the archive has none. */
  #parentOf(name: Uint8Array, end: number, number: number): number {
    if (
      this.#lastParent >= 0 && this.#lastEnd === end &&
      sameStart(this.#lastName, name, end)
    ) return this.#lastParent;
    let node = 0;
    for (const [from, to] of this.#components(name.subarray(0, end), number)) {
      const id = this.names.put(name, from, to);
      let next = this.dirents.find(node, id);
      if (next < 0 || !this.#isDirectory(next)) {
        next = this.#newDirectory();
        this.dirents.set(node, id, next);
      }
      node = next;
    }
    this.#lastName = name;
    this.#lastEnd = end;
    this.#lastParent = node;
    return node;
  }

  /** Ranges of a path's components, checked; `.` and empty ones are left out. */
  #components(path: Uint8Array, number: number): [number, number][] {
    const found: [number, number][] = [];
    for (let start = 0; start < path.length;) {
      let end = path.indexOf(SLASH, start);
      if (end < 0) end = path.length;
      const size = end - start;
      if (size > 0 && !(size === 1 && path[start] === DOT)) {
        this.#checkComponent(path, start, end, number, 0);
        found.push([start, end]);
      }
      start = end + 1;
    }
    if (found.length >= MAX_DEPTH) {
      throw new TreeCompileError(number, "too deep");
    }
    return found;
  }

  #checkComponent(
    path: Uint8Array,
    start: number,
    end: number,
    number: number,
    extra: number,
  ): void {
    const size = end - start;
    if (size === 2 && path[start] === DOT && path[start + 1] === DOT) {
      throw new TreeCompileError(number, "path has '..'");
    }
    if (size > MAX_NAME_BYTES + extra) {
      throw new TreeCompileError(number, "name is longer than 255 bytes");
    }
    for (let i = start; i < end; i++) {
      if (path[i] === 0) {
        throw new TreeCompileError(number, "name holds a zero byte");
      }
    }
  }

  #whiteout(
    parent: number,
    name: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (
      end - start === OPAQUE_MARK.length &&
      startsWith(name, start, end, OPAQUE_MARK)
    ) {
      if (this.#opaque(parent) === undefined) {
        const others = this.xattrs.get(parent) ?? [];
        this.xattrs.set(parent, [...others, this.#opaqueIds]);
      }
      return;
    }
    if (startsWith(name, start, end, WHITEOUT_META_PREFIX)) return; // aufs bookkeeping
    const from = start + WHITEOUT_PREFIX.length;
    const size = end - from;
    const dots = name[from] === DOT &&
      (size === 1 || (size === 2 && name[from + 1] === DOT));
    if (size === 0 || dots) return;
    const id = this.names.put(name, from, end);
    // A real entry of the same layer wins over a whiteout of its name.
    if (this.dirents.find(parent, id) >= 0) return;
    const inode = this.#newInode();
    this.mode[inode] = S.IFCHR;
    this.dirents.set(parent, id, inode);
  }

  get #opaqueIds(): XattrIds {
    return { key: this.#opaqueKey, value: this.#opaqueValue };
  }

  #opaque(inode: number): XattrIds | undefined {
    return this.xattrs.get(inode)?.find(({ key }) => key === this.#opaqueKey);
  }

  #applyMetadata(inode: number, entry: ZtocEntry): void {
    if (entry.modTime !== this.#lastTime) {
      const { seconds, nanos } = parseModTime(entry.modTime);
      // As containerd's unpacking: times before 1970 become 1970.
      this.#lastSeconds = Math.max(0, seconds);
      this.#lastNanos = seconds < 0 ? 0 : nanos;
      this.#lastTime = entry.modTime;
    }
    this.mtimeSeconds[inode] = this.#lastSeconds;
    this.mtimeNanos[inode] = this.#lastNanos;
    this.mode[inode] = entry.type === "symlink"
      ? LINK_MODE
      : FILE_TYPE[entry.type] | (entry.mode & PERMISSIONS);
    this.uid[inode] = entry.uid;
    this.gid[inode] = entry.gid;
    if (entry.xattrs.length > 0 || this.xattrs.size > 0) {
      this.#applyXattrs(inode, entry);
    }
  }

  #applyXattrs(inode: number, entry: ZtocEntry): void {
    const opaque = this.#opaque(inode);
    const kept = opaque === undefined ? [] : [opaque];
    for (const [key, value] of entry.xattrs) {
      if (!startsWith(key, 0, key.length, XATTR_PREFIX)) continue;
      const name = key.subarray(XATTR_PREFIX.length);
      // As containerd's unpacking: `trusted.*` is the host's own (and overlay's marks live there).
      if (startsWith(name, 0, name.length, TRUSTED_PREFIX)) continue;
      if (
        name.length > MAX_NAME_BYTES || value.length > MAX_XATTR_VALUE_BYTES
      ) {
        continue;
      }
      const ids = { key: this.#intern(name), value: this.#intern(value) };
      const at = kept.findIndex((one) => one.key === ids.key);
      if (at < 0) kept.push(ids);
      else kept[at] = ids;
    }
    if (kept.length === 0) this.xattrs.delete(inode);
    else this.xattrs.set(inode, kept);
  }

  #isDirectory(inode: number): boolean {
    return ((this.mode[inode] as number) & S.IFMT) === S.IFDIR;
  }

  #newDirectory(): number {
    const inode = this.#newInode();
    this.mode[inode] = S.IFDIR | 0o755;
    this.size[inode] = 4096;
    return inode;
  }

  #newInode(): number {
    const inode = this.inodes++;
    if (inode === this.mode.length) {
      this.mode = grown(this.mode, 0);
      this.uid = grown(this.uid, 0);
      this.gid = grown(this.gid, 0);
      this.rdev = grown(this.rdev, 0);
      this.mtimeNanos = grown(this.mtimeNanos, 0);
      this.target = grown(this.target, 0);
      this.size = grown(this.size, 0);
      this.dataOffset = grown(this.dataOffset, 0);
      this.mtimeSeconds = grown(this.mtimeSeconds, 0);
    }
    return inode;
  }
}

/** Where a path ends without its closing slashes. */
function trimmedEnd(path: Uint8Array): number {
  let end = path.length;
  while (end > 0 && path[end - 1] === SLASH) end--;
  return end;
}

/** Where the last component of `path[0 … end)` begins. */
function lastComponent(path: Uint8Array, end: number): number {
  let start = end;
  while (start > 0 && path[start - 1] !== SLASH) start--;
  return start;
}

function sameStart(a: Uint8Array, b: Uint8Array, length: number): boolean {
  // From the end: neighbours in a tar differ there first.
  for (let i = length - 1; i >= 0; i--) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}
