import { crc32 } from "node:zlib";
import { parseModTime, type ZtocEntry } from "../ztoc/mod.ts";
import {
  FLAG_XATTRS,
  HEADER,
  HEADER_BYTES,
  INODE_COLUMNS,
  TREE_MAGIC,
  TREE_VERSION,
  treeLayout,
} from "./format.ts";
import { encodeDevice, S } from "./modes.ts";

/** The file list cannot be a tree: a path escapes, a link has no target, a bound is broken. */
export class TreeCompileError extends Error {
  override readonly name = "TreeCompileError";
  constructor(readonly entry: number, detail: string) {
    super(`ztoc entry ${entry}: ${detail}`);
  }
}

/** What a tree is made of. */
export interface TreeInput {
  /** In tar order; later entries win. */
  readonly entries: readonly ZtocEntry[];
  /** Data offset of each span, ascending from 0. */
  readonly spanStarts: readonly number[] | Float64Array;
  /** Bytes of the uncompressed tar. */
  readonly dataSize: number;
}

/** Deepest directory: the kernel's PATH_MAX leaves no room for more. */
const MAX_DEPTH = 2048;
const MAX_NAME_BYTES = 255;
/** S_ISUID, S_ISGID, S_ISVTX and the permission bits. */
const PERMISSIONS = 0o7777;
const XATTR_PREFIX = "SCHILY.xattr.";
const WHITEOUT_PREFIX = ".wh.";
const WHITEOUT_META_PREFIX = ".wh..wh.";
const OPAQUE_MARK = ".wh..wh..opq";
const OPAQUE_KEY = "trusted.overlay.opaque";

const FILE_TYPE: Readonly<Record<ZtocEntry["type"], number>> = {
  reg: S.IFREG,
  hardlink: S.IFREG,
  dir: S.IFDIR,
  symlink: S.IFLNK,
  char: S.IFCHR,
  block: S.IFBLK,
  fifo: S.IFIFO,
};

/** An inode while the tree is being put together; names and values are latin1 of the raw bytes. */
interface Node {
  mode: number;
  uid: number;
  gid: number;
  rdev: number;
  size: number;
  dataOffset: number;
  mtimeSeconds: number;
  mtimeNanos: number;
  target: string;
  xattrs: Map<string, string> | null;
  children: Map<string, Node> | null;
  nlink: number;
  index: number;
}

// Names are any bytes. latin1 maps each byte to one code unit, so strings can key maps and sort by
// byte value without losing anything.
const latin1 = (bytes: Uint8Array): string => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return text;
};

function newDirectory(): Node {
  return {
    mode: S.IFDIR | 0o755,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 4096,
    dataOffset: 0,
    mtimeSeconds: 0,
    mtimeNanos: 0,
    target: "",
    xattrs: null,
    children: new Map(),
    nlink: 2,
    index: -1,
  };
}

/** Splits a tar name into components; `.` and empty ones vanish. */
function components(name: string, entry: number): string[] {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.length > MAX_DEPTH) throw new TreeCompileError(entry, "too deep");
  for (const [at, part] of parts.entries()) {
    if (part === "..") throw new TreeCompileError(entry, "path has '..'");
    // A whiteout's prefix does not count: it hides a name of full length.
    const whiteout = at === parts.length - 1 &&
      part.startsWith(WHITEOUT_PREFIX);
    if (
      part.length > MAX_NAME_BYTES + (whiteout ? WHITEOUT_PREFIX.length : 0)
    ) {
      throw new TreeCompileError(entry, "name is longer than 255 bytes");
    }
    if (part.includes("\0")) {
      throw new TreeCompileError(entry, "name holds a zero byte");
    }
  }
  return parts;
}

class TreeBuilder {
  readonly root = newDirectory();
  #previousPath = "";
  #previousParent = this.root;

  add(entry: ZtocEntry, number: number, dataSize: number): void {
    const parts = components(latin1(entry.name), number);
    const name = parts.pop();
    if (name === undefined) { // the root itself
      if (entry.type === "dir") this.#applyMetadata(this.root, entry);
      return;
    }
    const parent = this.#directory(parts);
    if (name.startsWith(WHITEOUT_PREFIX)) {
      this.#whiteout(parent, name);
      return;
    }
    const children = parent.children as Map<string, Node>;
    if (entry.type === "hardlink") {
      // The link's header speaks for the file: it is what unpacking would apply last.
      const target = this.#linkTarget(entry, number);
      const type = target.mode & S.IFMT;
      const { xattrs } = target;
      this.#applyMetadata(target, entry);
      target.mode = (target.mode & ~S.IFMT) | type;
      target.xattrs = xattrs;
      children.set(name, target);
      this.#previousPath = "\0"; // a directory may have been replaced
      return;
    }
    const existing = children.get(name);
    if (entry.type === "dir" && existing?.children) {
      this.#applyMetadata(existing, entry); // a directory again: its children stay
      return;
    }
    if (existing?.children) this.#previousPath = "\0";
    const node = newDirectory();
    if (entry.type !== "dir") {
      node.children = null;
      node.nlink = 0;
      node.size = 0;
    }
    this.#applyMetadata(node, entry);
    if (entry.type === "reg") {
      if (entry.size > 0 && entry.offset + entry.size > dataSize) {
        throw new TreeCompileError(number, "its data ends after the layer");
      }
      node.size = entry.size;
      node.dataOffset = entry.offset;
    } else if (entry.type === "symlink") {
      node.target = latin1(entry.linkname);
      node.size = node.target.length;
      if (
        node.size === 0 || node.size > 4095 || node.target.includes("\0")
      ) {
        throw new TreeCompileError(number, "link target is not a path");
      }
    } else if (entry.type === "char" || entry.type === "block") {
      node.rdev = encodeDevice(entry.devMajor, entry.devMinor);
    }
    children.set(name, node);
  }

  /** The directory at `parts`, made with mode 0755 where the archive has none. */
  #directory(parts: string[]): Node {
    const path = parts.join("/");
    if (path === this.#previousPath) return this.#previousParent;
    let node = this.root;
    for (const part of parts) {
      const children = node.children as Map<string, Node>;
      let next = children.get(part);
      if (next?.children == null) {
        next = newDirectory();
        children.set(part, next);
      }
      node = next;
    }
    this.#previousPath = path;
    this.#previousParent = node;
    return node;
  }

  #linkTarget(entry: ZtocEntry, number: number): Node {
    let node: Node | undefined = this.root;
    for (const part of components(latin1(entry.linkname), number)) {
      node = node?.children?.get(part);
    }
    if (node === undefined) {
      throw new TreeCompileError(
        number,
        "hard link to a file that is not here",
      );
    }
    if (node.children !== null) {
      throw new TreeCompileError(number, "hard link to a directory");
    }
    return node;
  }

  #whiteout(parent: Node, name: string): void {
    if (name === OPAQUE_MARK) {
      parent.xattrs ??= new Map();
      parent.xattrs.set(OPAQUE_KEY, "y");
      return;
    }
    if (name.startsWith(WHITEOUT_META_PREFIX)) return; // aufs bookkeeping
    const hidden = name.slice(WHITEOUT_PREFIX.length);
    const children = parent.children as Map<string, Node>;
    // A real entry of the same layer stands above a whiteout of its name.
    if (
      hidden === "" || hidden === "." || hidden === ".." || children.has(hidden)
    ) {
      return;
    }
    const node = newDirectory();
    node.children = null;
    node.nlink = 0;
    node.mode = S.IFCHR;
    node.size = 0;
    children.set(hidden, node);
  }

  #applyMetadata(node: Node, entry: ZtocEntry): void {
    const { seconds, nanos } = parseModTime(entry.modTime);
    node.mode = FILE_TYPE[entry.type] | (entry.mode & PERMISSIONS);
    node.uid = entry.uid;
    node.gid = entry.gid;
    // As containerd's unpacking: times before 1970 become 1970.
    node.mtimeSeconds = Math.max(0, seconds);
    node.mtimeNanos = seconds < 0 ? 0 : nanos;
    const opaque = node.xattrs?.get(OPAQUE_KEY);
    node.xattrs = opaque === undefined ? null : new Map([[OPAQUE_KEY, opaque]]);
    for (const [rawKey, rawValue] of entry.xattrs) {
      const key = latin1(rawKey);
      if (!key.startsWith(XATTR_PREFIX)) continue;
      const name = key.slice(XATTR_PREFIX.length);
      // As containerd's unpacking: `trusted.*` is the host's own (and overlay's marks live there).
      if (name.startsWith("trusted.") || name.length > 255) continue;
      if (rawValue.length > 65536) continue;
      node.xattrs ??= new Map();
      node.xattrs.set(name, latin1(rawValue));
    }
  }
}

/** Grows a byte blob; equal strings are kept once. */
class NameBlob {
  #bytes = new Uint8Array(1 << 16);
  length = 0;
  readonly #known = new Map<string, number>();

  put(text: string): number {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const offset = this.length;
    while (offset + text.length > this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    for (let i = 0; i < text.length; i++) {
      this.#bytes[offset + i] = text.charCodeAt(i);
    }
    this.length += text.length;
    this.#known.set(text, offset);
    return offset;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

interface Dirent {
  readonly name: string;
  readonly node: Node;
}

/** Numbers the inodes, counts links and lays directories out one after another, names sorted. */
function layOut(
  root: Node,
): { inodes: Node[]; dirents: Dirent[]; runs: Map<Node, number> } {
  const inodes: Node[] = [root];
  root.index = 0;
  const dirents: Dirent[] = [];
  const runs = new Map<Node, number>();
  for (let at = 0; at < inodes.length; at++) {
    const { children } = inodes[at] as Node;
    if (children === null) continue;
    runs.set(inodes[at] as Node, dirents.length);
    for (const name of [...children.keys()].sort(byBytes)) {
      const node = children.get(name) as Node;
      dirents.push({ name, node });
      if (node.children !== null) (inodes[at] as Node).nlink++;
      else node.nlink++;
      if (node.index < 0) {
        node.index = inodes.length;
        inodes.push(node);
      }
    }
  }
  return { inodes, dirents, runs };
}

const byBytes = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;

/**
 * Makes the tree file of a layer.
 * @throws TreeCompileError
 */
export function compileTree(input: TreeInput): Uint8Array<ArrayBuffer> {
  const builder = new TreeBuilder();
  input.entries.forEach((entry, number) =>
    builder.add(entry, number, input.dataSize)
  );
  const { inodes, dirents, runs } = layOut(builder.root);
  const blob = new NameBlob();
  const targets = inodes.map((node) => blob.put(node.target));
  const names = dirents.map(({ name }) => blob.put(name));
  const xattrs = inodes.flatMap((node) =>
    [...node.xattrs ?? []].map(([key, value]) => ({
      key: blob.put(key),
      keyLength: key.length,
      value: blob.put(value),
      valueLength: value.length,
    }))
  );
  const spans = input.spanStarts.length;
  const counts = {
    inodes: inodes.length,
    dirents: dirents.length,
    xattrs: xattrs.length,
    spans,
    nameBytes: blob.length,
  };
  const layout = treeLayout(counts);
  const bytes = new Uint8Array(layout.end);
  const doubles = (at: number, count: number) =>
    new Float64Array(bytes.buffer, at, count);
  const words = (at: number, count: number) =>
    new Uint32Array(bytes.buffer, at, count);

  const n = inodes.length;
  const sizes = doubles(layout.doubles, n * 3);
  const columns = words(layout.columns, n * INODE_COLUMNS.length);
  const xattrFirst = words(layout.xattrFirst, n + 1);
  let xattrCount = 0;
  inodes.forEach((node, i) => {
    sizes[i] = node.size;
    sizes[n + i] = node.dataOffset;
    sizes[2 * n + i] = node.mtimeSeconds;
    const row = [
      node.mode,
      node.uid,
      node.gid,
      node.nlink,
      node.rdev,
      node.mtimeNanos,
      node.children === null ? targets[i] as number : runs.get(node) as number,
      node.children === null ? node.target.length : node.children.size,
    ];
    row.forEach((value, column) => columns[column * n + i] = value);
    xattrFirst[i] = xattrCount;
    xattrCount += node.xattrs?.size ?? 0;
  });
  xattrFirst[n] = xattrCount;

  const starts = doubles(layout.spanStarts, spans + 1);
  starts.set(input.spanStarts);
  starts[spans] = input.dataSize;

  const d = dirents.length;
  const direntColumns = words(layout.direntColumns, d * 3);
  dirents.forEach(({ name, node }, i) => {
    direntColumns[i] = names[i] as number;
    direntColumns[d + i] = name.length;
    direntColumns[2 * d + i] = node.index;
  });
  const x = xattrs.length;
  const xattrColumns = words(layout.xattrColumns, x * 4);
  xattrs.forEach(({ key, keyLength, value, valueLength }, i) => {
    xattrColumns[i] = key;
    xattrColumns[x + i] = keyLength;
    xattrColumns[2 * x + i] = value;
    xattrColumns[3 * x + i] = valueLength;
  });
  bytes.set(blob.bytes(), layout.names);

  const header = words(0, HEADER_BYTES / 4);
  header[HEADER.magic] = TREE_MAGIC;
  header[HEADER.version] = TREE_VERSION;
  header[HEADER.inodes] = n;
  header[HEADER.dirents] = d;
  header[HEADER.xattrs] = x;
  header[HEADER.spans] = spans;
  header[HEADER.nameBytes] = blob.length;
  header[HEADER.flags] = x > 0 ? FLAG_XATTRS : 0;
  header[HEADER.checksum] = crc32(bytes.subarray(HEADER_BYTES)) >>> 0;
  return bytes;
}
