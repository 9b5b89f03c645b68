import type { ZtocEntry } from "../../formats/ztoc/mod.ts";
import {
  bytesOf,
  checkName,
  cleanPath,
  components,
  DIRECTORY,
  encodeDevice,
  isDots,
  lastComponent,
  latin1,
  MAX_NAME_BYTES,
  type ReadLink,
  rootPath,
  S,
  sameStart,
  SLASH,
  startsWith,
  TooManyLinksError,
  TreeCompileError,
  trimmedEnd,
} from "../tree/mod.ts";
import { EntryTime } from "./entry_time.ts";
import { InodeColumns } from "./inode_columns.ts";
import {
  CollisionError,
  DirentTable,
  type NameId,
  NameTable,
} from "./name_table.ts";
import { XattrTable } from "./xattr_table.ts";

const MAX_TARGET_BYTES = 4095;
const S_ISGID = 0o2000;
/** The root directory's inode. */
const ROOT = 0;
/** S_ISUID, S_ISGID, S_ISVTX and the permission bits. */
const PERMISSIONS = 0o7777;
/** A link's only mode in Linux: unpacking ignores the entry's. */
const LINK_MODE = S.IFLNK | 0o777;
/** Means "leave it as it is" to chown(2). */
const NO_OWNER = 0xffff_ffff;
/**
 * The most bytes of paths looked up to resolve symbolic links. Real layers need thousands, because
 * each link is followed once. A malicious layer could make it take hours.
 */
const MAX_LINKED_PATH_BYTES = 2 ** 22;

const ascii = (text: string) => new TextEncoder().encode(text);
const WHITEOUT_PREFIX = ascii(".wh.");
const WHITEOUT_META_PREFIX = ascii(".wh..wh.");
const OPAQUE_MARK = ascii(".wh..wh..opq");

const FILE_TYPE: Readonly<Record<ZtocEntry["type"], number>> = {
  reg: S.IFREG,
  hardlink: S.IFREG,
  dir: S.IFDIR,
  symlink: S.IFLNK,
  char: S.IFCHR,
  block: S.IFBLK,
  fifo: S.IFIFO,
};

/**
 * Builds a tree of numbered inodes (the root is 0) from entries in tar order. The tree is what
 * containerd's unpacking makes of the archive. It uses columns and hash tables of numbers, not an
 * object per file, because a layer may have a million files.
 */
export class TreeBuilder {
  readonly names = new NameTable();
  readonly dirents = new DirentTable();
  readonly inodes = new InodeColumns();
  readonly xattrs = new XattrTable(this.names);

  readonly #dataSize: number;
  readonly #time = new EntryTime();
  /** The directory part of the last entry, and its inode; -1 if it must be looked up again. */
  #lastName: Uint8Array = new Uint8Array(0);
  #lastEnd = 0;
  #lastParent = -1;
  /** The directories that links led to, by the link's path. */
  readonly #followed = new Map<string, { node: number; at: string }>();
  #linkedPathBytes = 0;

  /** @param dataSize the size of the tar, bytes; no file's data may end beyond it. */
  constructor(dataSize: number) {
    this.#dataSize = dataSize;
    this.#newDirectory(); // the root
  }

  #intern(bytes: Uint8Array): NameId {
    return this.names.put(bytes, 0, bytes.length);
  }

  /** @throws TreeCompileError */
  add(entry: ZtocEntry, number: number): void {
    try {
      this.#add(entry, number);
    } catch (error) {
      if (
        error instanceof CollisionError || error instanceof TooManyLinksError
      ) throw new TreeCompileError(number, error.message);
      throw error;
    }
  }

  #add(entry: ZtocEntry, number: number): void {
    const { name } = entry;
    const end = trimmedEnd(name);
    const start = lastComponent(name, end);
    if (isDots(name, start, end)) {
      // `a/.` and `a/b/..` name the directory `a`. Rare, so the slow way is fine.
      const cleaned = bytesOf(cleanPath(`/${latin1(name)}`).slice(1));
      if (cleaned.length === 0) return this.#addRoot(entry);
      return this.#add({ ...entry, name: cleaned }, number);
    }
    if (end === 0) return this.#addRoot(entry);
    const whiteout = startsWith(name, start, end, WHITEOUT_PREFIX);
    // A whiteout's prefix does not count, because the name it hides may have full length.
    checkName(name, start, end, number, whiteout ? WHITEOUT_PREFIX.length : 0);
    const parent = this.#parentOf(name, start, number);
    if (whiteout) return this.#whiteout(parent, name, start, end);
    const id = this.names.put(name, start, end);
    if (entry.type === "hardlink") return this.#link(parent, id, entry, number);
    const existing = this.dirents.find(parent, id);
    const wasDirectory = existing >= 0 && this.#isDirectory(existing);
    if (entry.type === "dir" && wasDirectory) {
      return this.#describeDirectory(existing, entry); // its children stay
    }
    // The replaced directory or link may be part of a cached path.
    if (wasDirectory || (existing >= 0 && this.#isLink(existing))) {
      this.#forgetPaths();
    }
    const inode = this.inodes.add();
    const mode = entry.type === "symlink"
      ? LINK_MODE
      : FILE_TYPE[entry.type] | (entry.mode & PERMISSIONS);
    this.inodes.mode[inode] = mode;
    if (entry.type !== "symlink") this.#inheritAcl(inode, parent);
    this.#applyMetadata(inode, entry);
    this.#applyContent(inode, entry, number);
    this.dirents.set(parent, id, inode);
  }

  /**
   * containerd ignores entries for the root. But an image that is mounted as a whole needs the
   * facts.
   */
  #addRoot(entry: ZtocEntry): void {
    if (entry.type !== "dir") return;
    this.#describeDirectory(ROOT, entry);
    this.inodes.rdev[ROOT] = DIRECTORY.own;
  }

  #describeDirectory(inode: number, entry: ZtocEntry): void {
    const { mode, rdev } = this.inodes;
    // Unpacking had made it with the facts of the layers below.
    if (rdev[inode] === DIRECTORY.implied) rdev[inode] = DIRECTORY.inherits;
    mode[inode] = S.IFDIR | (entry.mode & PERMISSIONS);
    this.#applyMetadata(inode, entry);
  }

  #applyContent(inode: number, entry: ZtocEntry, number: number): void {
    const { size, dataOffset, target, rdev } = this.inodes;
    if (entry.type === "reg") {
      if (entry.size > 0 && entry.offset + entry.size > this.#dataSize) {
        throw new TreeCompileError(number, "its data ends after the layer");
      }
      size[inode] = entry.size;
      dataOffset[inode] = entry.offset;
    } else if (entry.type === "symlink") {
      const { linkname } = entry;
      if (
        linkname.length === 0 || linkname.length > MAX_TARGET_BYTES ||
        linkname.includes(0)
      ) {
        throw new TreeCompileError(number, "link target is not a path");
      }
      size[inode] = linkname.length;
      target[inode] = this.#intern(linkname);
    } else if (entry.type === "dir") {
      size[inode] = 4096;
    } else if (entry.type === "char" || entry.type === "block") {
      rdev[inode] = encodeDevice(entry.devMajor, entry.devMinor);
    }
  }

  #link(parent: number, id: NameId, entry: ZtocEntry, number: number): void {
    const target = this.#linkTarget(entry, number);
    // Unpacking applies the link's header last, so it determines the file's metadata.
    const { mode } = this.inodes;
    if (!this.#isLink(target)) {
      const type = (mode[target] as number) & S.IFMT;
      mode[target] = type | (entry.mode & PERMISSIONS);
    }
    this.xattrs.dropCapability(target);
    this.#applyMetadata(target, entry);
    this.dirents.set(parent, id, target);
    this.#forgetPaths(); // a directory may have been replaced
  }

  #linkTarget({ linkname }: ZtocEntry, number: number): number {
    const slash = linkname.lastIndexOf(SLASH) + 1;
    const directory = this.#directory(linkname.subarray(0, slash), number);
    let node = directory;
    if (isDots(linkname, slash, linkname.length) || node < 0) node = -1;
    else if (slash < linkname.length) {
      const id = this.names.put(linkname, slash, linkname.length);
      node = this.dirents.find(directory, id);
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

  /** The inode that a directory's path leads to; -1 if there is none. */
  #directory(path: Uint8Array, number: number): number {
    let node = 0;
    for (let start = 0; start < path.length;) {
      const slash = path.indexOf(SLASH, start);
      const end = slash < 0 ? path.length : slash;
      if (isDots(path, start, end)) return this.#linkedDirectory(path, number);
      if (end > start) {
        checkName(path, start, end, number, 0);
        const id = this.names.put(path, start, end);
        node = this.dirents.find(node, id);
        // `missing/../a` and `file/../a` name `a`, and `file/` may name the file itself.
        if (node < 0 || this.#isLink(node)) {
          return this.#linkedDirectory(path, number);
        }
        if (!this.#isDirectory(node)) {
          return end + 1 < path.length
            ? this.#linkedDirectory(path, number)
            : node;
        }
      }
      start = end + 1;
    }
    return node;
  }

  /** Like `#directory`, for a path with links or dots. */
  #linkedDirectory(path: Uint8Array, number: number): number {
    const found = rootPath(latin1(path), this.#readLink);
    let node = 0;
    for (const part of found.split("/")) {
      if (part === "" || node < 0) continue;
      if (!this.#isDirectory(node)) return -1;
      const name = bytesOf(part);
      checkName(name, 0, name.length, number, 0);
      node = this.dirents.find(node, this.#intern(name));
    }
    return node;
  }

  readonly #readLink: ReadLink = (path) => {
    this.#linkedPathBytes += path.length;
    if (this.#linkedPathBytes > MAX_LINKED_PATH_BYTES) {
      throw new TooManyLinksError(
        "too many paths lead through symbolic links",
      );
    }
    let node = 0;
    for (const part of path.split("/")) {
      if (part === "") continue;
      if (!this.#isDirectory(node)) return null;
      const name = bytesOf(part);
      if (name.length > MAX_NAME_BYTES) return null;
      node = this.dirents.find(node, this.#intern(name));
      if (node < 0) return null;
    }
    if (!this.#isLink(node)) return null;
    return latin1(this.names.view(this.inodes.target[node] as number));
  };

  /** The directory `name[0 … end)`; made, as implied, if the archive has no entry for it. */
  #parentOf(name: Uint8Array, end: number, number: number): number {
    if (
      this.#lastParent >= 0 && this.#lastEnd === end &&
      sameStart(this.#lastName, name, end)
    ) return this.#lastParent;
    const path = name.subarray(0, end);
    let node = 0;
    /** The path of `node`, once a link was followed; before that, the name itself is the path. */
    let at: string | null = null;
    const parts = components(path, number);
    for (const [i, [from, to]] of parts.entries()) {
      const id = this.names.put(path, from, to);
      const next = this.dirents.find(node, id);
      if (next >= 0 && this.#isLink(next)) {
        at ??= parts.slice(0, i)
          .map(([from, to]) => `/${latin1(path.subarray(from, to))}`).join("");
        const link = `${at}/${latin1(path.subarray(from, to))}`;
        ({ node, at } = this.#follow(link, number));
        continue;
      }
      if (at !== null) at = `${at}/${latin1(path.subarray(from, to))}`;
      node = this.#step(node, id, next);
    }
    this.#lastName = name;
    this.#lastEnd = end;
    this.#lastParent = node;
    return node;
  }

  /** The directory that a link leads to; made, as implied, if it is not there. */
  #follow(link: string, number: number): { node: number; at: string } {
    let found = this.#followed.get(link);
    if (found === undefined) {
      const path = rootPath(link, this.#readLink);
      found = { node: this.#make(path, number), at: path === "/" ? "" : path };
      this.#followed.set(link, found);
    }
    return found;
  }

  /** Drops cached paths: they may lead elsewhere now. */
  #forgetPaths(): void {
    this.#lastParent = -1;
    this.#followed.clear();
  }

  /** The directory at a clean path without links; made, as implied, if it is not there. */
  #make(path: string, number: number): number {
    const bytes = bytesOf(path);
    let node = 0;
    for (const [from, to] of components(bytes, number)) {
      const id = this.names.put(bytes, from, to);
      node = this.#step(node, id, this.dirents.find(node, id));
    }
    return node;
  }

  /**
   * The directory that `parent` has under a name. Anything else there is replaced by a new
   * directory.
   */
  #step(parent: number, name: NameId, found: number): number {
    if (found >= 0 && this.#isDirectory(found)) return found;
    const made = this.#newDirectory();
    const { mode, gid } = this.inodes;
    // As Linux does for a new directory. If an entry follows, it sets the owner.
    if (parent !== ROOT && ((mode[parent] as number) & S_ISGID) !== 0) {
      gid[made] = gid[parent] as number;
    }
    this.#inheritAcl(made, parent);
    this.dirents.set(parent, name, made);
    return made;
  }

  /** The root has nothing to inherit: unpacking ignores its entry. */
  #inheritAcl(inode: number, parent: number): void {
    if (parent === ROOT || !this.xattrs.any) return;
    this.xattrs.inherit(inode, parent, this.inodes.mode[inode] as number);
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
    ) return this.xattrs.setOpaque(parent);
    if (startsWith(name, start, end, WHITEOUT_META_PREFIX)) return; // aufs bookkeeping
    const from = start + WHITEOUT_PREFIX.length;
    if (from === end || isDots(name, from, end)) return;
    const id = this.names.put(name, from, end);
    // A real entry of the same layer wins over a whiteout of its name.
    if (this.dirents.find(parent, id) >= 0) return;
    const inode = this.inodes.add();
    this.inodes.mode[inode] = S.IFCHR;
    this.dirents.set(parent, id, inode);
  }

  /** Applies an entry's owner, attributes and time to an inode that already has its mode. */
  #applyMetadata(inode: number, entry: ZtocEntry): void {
    const { mode, uid, gid, mtimeSeconds, mtimeNanos } = this.inodes;
    this.#time.read(entry.modTime);
    mtimeSeconds[inode] = this.#time.seconds;
    mtimeNanos[inode] = this.#time.nanos;
    if (entry.uid !== NO_OWNER) uid[inode] = entry.uid;
    if (entry.gid !== NO_OWNER) gid[inode] = entry.gid;
    if (entry.xattrs.length === 0 && !this.xattrs.any) return;
    this.xattrs.add(inode, entry.xattrs, mode[inode] as number);
    this.xattrs.settleMode(inode, mode[inode] as number);
  }

  #isDirectory(inode: number): boolean {
    return ((this.inodes.mode[inode] as number) & S.IFMT) === S.IFDIR;
  }

  #isLink(inode: number): boolean {
    return ((this.inodes.mode[inode] as number) & S.IFMT) === S.IFLNK;
  }

  #newDirectory(): number {
    const inode = this.inodes.add();
    this.inodes.mode[inode] = S.IFDIR | 0o755;
    this.inodes.size[inode] = 4096;
    this.inodes.rdev[inode] = DIRECTORY.implied;
    return inode;
  }
}
