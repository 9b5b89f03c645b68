import { crc32 } from "node:zlib";
import type { ZtocEntry } from "../../formats/ztoc/mod.ts";
import {
  DIRECTORY,
  FLAG_INHERITS,
  FLAG_XATTRS,
  HEADER,
  HEADER_BYTES,
  INODE_COLUMNS,
  S,
  TREE_MAGIC,
  TREE_REVISION,
  TREE_VERSION,
  treeLayout,
} from "../tree/mod.ts";
import { TreeBuilder } from "./tree_builder.ts";

/** The input of a tree. */
export interface TreeInput {
  /** In tar order; later entries win. Each is read once, and not kept. */
  readonly entries: Iterable<ZtocEntry>;
  /** Data offset of each span, ascending from 0. */
  readonly spanStarts: readonly number[] | Float64Array;
  /** Bytes of the uncompressed tar. */
  readonly dataSize: number;
}

/** The reachable part of the built tree, numbered breadth first. */
interface Order {
  /** By final inode: the built one. */
  readonly inodes: Uint32Array;
  /** By built inode: the final one. */
  readonly numbers: Uint32Array;
  /** Built dirents, grouped by directory and sorted by name. */
  readonly dirents: Uint32Array;
  /** By final inode: a directory's first dirent, and its number of dirents. */
  readonly first: Uint32Array;
  readonly count: Uint32Array;
  readonly nlink: Uint32Array;
}

const UNSEEN = 0xffff_ffff;

/** Groups built dirents by directory, sorted by name. Also gives where each group begins. */
function groupByParent(
  { dirents, inodes: { count: inodes }, names }: TreeBuilder,
): { sorted: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(inodes + 1);
  for (let i = 0; i < dirents.count; i++) starts[dirents.parent(i) + 1]!++;
  for (let i = 0; i < inodes; i++) starts[i + 1]! += starts[i] as number;
  const next = starts.slice();
  const sorted = new Uint32Array(dirents.count);
  for (let i = 0; i < dirents.count; i++) {
    sorted[next[dirents.parent(i)]!++] = i;
  }
  const byName = (a: number, b: number) =>
    names.compare(dirents.nameId(a), dirents.nameId(b));
  for (let i = 0; i < inodes; i++) {
    const start = starts[i] as number;
    const end = starts[i + 1] as number;
    if (end - start > 1) sorted.subarray(start, end).sort(byName);
  }
  return { sorted, starts };
}

/** Numbers the inodes, counts links, and lays out the directories one after another. */
function layOut(builder: TreeBuilder): Order {
  const { dirents: table, inodes: { count: built, mode } } = builder;
  const { sorted, starts } = groupByParent(builder);
  const inodes = new Uint32Array(built);
  const numbers = new Uint32Array(built).fill(UNSEEN);
  const dirents = new Uint32Array(table.count);
  const first = new Uint32Array(built);
  const count = new Uint32Array(built);
  const nlink = new Uint32Array(built);
  let inodeCount = 1;
  let direntCount = 0;
  numbers[0] = 0;
  nlink[0] = 2;
  const isDirectory = (node: number) =>
    ((mode[node] as number) & S.IFMT) === S.IFDIR;
  for (let at = 0; at < inodeCount; at++) {
    const node = inodes[at] as number;
    if (!isDirectory(node)) continue;
    first[at] = direntCount;
    const end = starts[node + 1] as number;
    for (let i = starts[node] as number; i < end; i++) {
      const dirent = sorted[i] as number;
      const child = table.inode(dirent);
      dirents[direntCount++] = dirent;
      let number = numbers[child] as number;
      const directory = isDirectory(child);
      if (number === UNSEEN) {
        number = numbers[child] = inodeCount++;
        inodes[number] = child;
        nlink[number] = directory ? 2 : 0;
      }
      if (directory) nlink[at]!++;
      else nlink[number]!++;
    }
    count[at] = direntCount - (first[at] as number);
  }
  return {
    inodes: inodes.subarray(0, inodeCount),
    numbers,
    dirents: dirents.subarray(0, direntCount),
    first,
    count,
    nlink,
  };
}

/**
 * Checks, while the entries of a layer come, that they make a tree: a layer that is indexed must be servable. What is
 * wrong is told at the end. Before, nobody knows whether these are the layer's bytes.
 */
export class TreeCheck {
  /** Whoever walks a tar to its end knows that no file's data ends beyond it. */
  readonly #builder = new TreeBuilder(Infinity);
  #count = 0;
  #error: unknown = null;

  /** Entries taken so far. */
  get count(): number {
    return this.#count;
  }

  /** Takes the next entries, each once. */
  take(entries: Iterable<ZtocEntry>): void {
    for (const entry of entries) {
      const number = this.#count++;
      if (this.#error !== null) continue;
      try {
        this.#builder.add(entry, number);
      } catch (error) {
        this.#error = error;
      }
    }
  }

  /** There are no more. @throws TreeCompileError */
  finish(): void {
    if (this.#error !== null) throw this.#error;
  }
}

/**
 * Makes a layer's tree file.
 * @throws TreeCompileError
 */
export function compileTree(input: TreeInput): Uint8Array<ArrayBuffer> {
  const builder = new TreeBuilder(input.dataSize);
  let number = 0;
  for (const entry of input.entries) builder.add(entry, number++);
  const order = layOut(builder);
  const { names, inodes: built } = builder;
  const n = order.inodes.length;
  const d = order.dirents.length;
  let x = 0;
  for (const node of builder.xattrs.inodes()) {
    if (order.numbers[node] !== UNSEEN) x += builder.xattrs.of(node).length;
  }
  const spans = input.spanStarts.length;
  const nameBytes = names.bytes();
  const layout = treeLayout({
    inodes: n,
    dirents: d,
    xattrs: x,
    spans,
    nameBytes: nameBytes.length,
  });
  const bytes = new Uint8Array(layout.end);
  const doubles = (at: number, count: number) =>
    new Float64Array(bytes.buffer, at, count);
  const words = (at: number, count: number) =>
    new Uint32Array(bytes.buffer, at, count);

  const sizes = doubles(layout.doubles, n * 3);
  const columns = words(layout.columns, n * INODE_COLUMNS.length);
  const column = (name: typeof INODE_COLUMNS[number]) =>
    columns.subarray(INODE_COLUMNS.indexOf(name) * n);
  const [mode, uid, gid, nlink, rdev, mtimeNanos, first, count] = INODE_COLUMNS
    .map(column) as [
      ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
      ...[Uint32Array, Uint32Array, Uint32Array, Uint32Array],
    ];
  const xattrFirst = words(layout.xattrFirst, n + 1);
  const xattrColumns = words(layout.xattrColumns, x * 4);
  let xattrCount = 0;
  let inherits = false;
  for (let i = 0; i < n; i++) {
    const node = order.inodes[i] as number;
    sizes[i] = built.size[node] as number;
    sizes[n + i] = built.dataOffset[node] as number;
    sizes[2 * n + i] = built.mtimeSeconds[node] as number;
    mode[i] = built.mode[node] as number;
    uid[i] = built.uid[node] as number;
    gid[i] = built.gid[node] as number;
    nlink[i] = order.nlink[i] as number;
    rdev[i] = built.rdev[node] as number;
    mtimeNanos[i] = built.mtimeNanos[node] as number;
    const type = (mode[i] as number) & S.IFMT;
    if (type === S.IFDIR) {
      first[i] = order.first[i] as number;
      count[i] = order.count[i] as number;
      inherits ||= i > 0 && rdev[i] !== DIRECTORY.own;
    } else if (type === S.IFLNK) {
      const target = built.target[node] as number;
      first[i] = names.offset(target);
      count[i] = names.size(target);
    }
    xattrFirst[i] = xattrCount;
    for (const { key, value } of builder.xattrs.of(node)) {
      xattrColumns[xattrCount] = names.offset(key);
      xattrColumns[x + xattrCount] = names.size(key);
      xattrColumns[2 * x + xattrCount] = names.offset(value);
      xattrColumns[3 * x + xattrCount] = names.size(value);
      xattrCount++;
    }
  }
  xattrFirst[n] = xattrCount;

  const starts = doubles(layout.spanStarts, spans + 1);
  starts.set(input.spanStarts);
  starts[spans] = input.dataSize;

  const direntColumns = words(layout.direntColumns, d * 3);
  for (let i = 0; i < d; i++) {
    const dirent = order.dirents[i] as number;
    const name = builder.dirents.nameId(dirent);
    direntColumns[i] = names.offset(name);
    direntColumns[d + i] = names.size(name);
    direntColumns[2 * d + i] = order
      .numbers[builder.dirents.inode(dirent)] as number;
  }
  bytes.set(nameBytes, layout.names);

  const header = words(0, HEADER_BYTES / 4);
  header[HEADER.magic] = TREE_MAGIC;
  header[HEADER.version] = TREE_VERSION;
  header[HEADER.inodes] = n;
  header[HEADER.dirents] = d;
  header[HEADER.xattrs] = x;
  header[HEADER.spans] = spans;
  header[HEADER.nameBytes] = nameBytes.length;
  header[HEADER.flags] = (x > 0 ? FLAG_XATTRS : 0) |
    (inherits ? FLAG_INHERITS : 0);
  header[HEADER.revision] = TREE_REVISION;
  header[HEADER.checksum] = crc32(bytes.subarray(HEADER_BYTES)) >>> 0;
  return bytes;
}
