import {
  type Attributes,
  DEFERRED,
  type EmitEntry,
  FOPEN,
  type FuseHandler,
  NodeId,
  type ReadReply,
  type StatFs,
} from "../../host/fuse/mod.ts";
import {
  closeFd,
  ERRNO,
  fileSize,
  O,
  openFd,
  OsError,
  preadFully,
} from "../../host/os/mod.ts";
import { DataFile } from "./data_file.ts";
import { MISSING, PRESENT, type RangeTable } from "../presence/mod.ts";
import {
  type ReadersAtWork,
  ReadTrace,
  RequestRing,
  RING_INTERRUPT,
  RING_READ,
  RingItem,
  SlotTable,
  SpanStarts,
} from "./shared/mod.ts";
import {
  blobBytes,
  BLOBS_DIRECTORY,
  LayerTree,
  MAX_TREE_BYTES,
  S,
} from "../tree/mod.ts";

/** Nodeid of the mount's own root directory (FUSE_ROOT_ID). */
const ROOT_LO = 1;
/** Nodeid of the directory of blobs. */
const BLOBS_LO = 2;
const BLOBS_NAME = new TextEncoder().encode(BLOBS_DIRECTORY);
/** Low word of a layer's blob. No tree has so many inodes, so it is free. */
const BLOB_LO = 0xffff_ffff;
/** The most open trees and data files of a Worker; the least recently used one is closed first. */
const MAX_OPEN_LAYERS = 512;

interface OpenLayer {
  readonly slot: number;
  readonly row: number;
  readonly data: DataFile;
  /** Opened when more than the blob is requested. */
  tree: LayerTree | null;
  lastUse: number;
}

/** What a Worker needs to serve all layers. */
export interface LayerHandlerOptions {
  /** Folder that holds `<slot>/tree` and `<slot>/data`. */
  readonly layersDirectory: string;
  readonly slots: SlotTable;
  readonly presence: Uint8Array;
  readonly starts: SpanStarts;
  /** Use marks, one for each presence byte. */
  readonly uses: Uint8Array;
  /** Bytes that are here although their span is not. */
  readonly ranges: RangeTable;
  /** Bytes that were read, one count for each presence byte. */
  readonly reads: Uint32Array;
  readonly ring: RequestRing;
  readonly readers: ReadersAtWork;
  readonly trace: ReadTrace;
  /** Number of this Worker in `readers`. */
  readonly worker: number;
  /** Number of this mount in ring items. */
  readonly mount: number;
  /** Whether reads of blobs bypass the kernel's cache: for EROFS, which has its own. */
  readonly directBlobs: boolean;
}

/**
 * Serves every layer as a directory named by its slot, and its data as a file of that name in the
 * directory of blobs. A node's high word is the slot, its low word the inode's index in the tree
 * plus one; so a nodeid means the same in every Worker and process.
 */
export class LayerHandler implements FuseHandler {
  readonly #options: LayerHandlerOptions;
  readonly #open = new Map<number, OpenLayer>();
  readonly #item = new RingItem();
  readonly #entry = new NodeId();
  /** The data file that the last read was answered from. */
  #reading: DataFile | null = null;
  #last: OpenLayer | null = null;
  #clock = 0;
  #firstSpan = 0;

  constructor(options: LayerHandlerOptions) {
    this.#options = options;
  }

  lookup(
    parent: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    child: NodeId,
  ): number {
    if (parent.hi === 0) {
      if (
        parent.lo === ROOT_LO && sameBytes(BLOBS_NAME, buffer, start, end)
      ) {
        child.hi = 0;
        child.lo = BLOBS_LO;
        return 0;
      }
      const slot = parseSlot(buffer, start, end);
      if (slot < 1 || this.#layer(slot) === null) return -ERRNO.ENOENT;
      child.hi = slot;
      child.lo = parent.lo === BLOBS_LO ? BLOB_LO : 1;
      return 0;
    }
    const tree = this.#tree(parent.hi);
    const inode = parent.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    if (!tree.isDirectory(inode)) return -ERRNO.ENOTDIR;
    const found = tree.lookup(inode, buffer, start, end);
    if (found < 0) return -ERRNO.ENOENT;
    child.hi = parent.hi;
    child.lo = found + 1;
    return 0;
  }

  /** Layers come and go in the root; inside a layer nothing ever changes. */
  cacheMissing(parent: NodeId): boolean {
    return parent.hi !== 0;
  }

  attributes(node: NodeId, into: Attributes): number {
    if (node.hi === 0) {
      if (node.lo !== ROOT_LO && node.lo !== BLOBS_LO) return -ERRNO.ESTALE;
      into.size = 4096;
      into.mtimeSeconds = 0;
      into.mtimeNanos = 0;
      into.mode = S.IFDIR | 0o711;
      into.nlink = 2;
      into.uid = 0;
      into.gid = 0;
      into.rdev = 0;
      return 0;
    }
    if (node.lo === BLOB_LO) {
      const layer = this.#layer(node.hi);
      if (layer === null) return -ERRNO.ESTALE;
      into.size = blobBytes(this.#dataBytes(layer.row));
      into.mtimeSeconds = 0;
      into.mtimeNanos = 0;
      into.mode = S.IFREG | 0o400;
      into.nlink = 1;
      into.uid = 0;
      into.gid = 0;
      into.rdev = 0;
      return 0;
    }
    const tree = this.#tree(node.hi);
    const inode = node.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    into.size = tree.size[inode] as number;
    into.mtimeSeconds = tree.mtimeSeconds[inode] as number;
    into.mtimeNanos = tree.mtimeNanos[inode] as number;
    into.mode = tree.mode[inode] as number;
    into.nlink = tree.nlink[inode] as number;
    into.uid = tree.uid[inode] as number;
    into.gid = tree.gid[inode] as number;
    into.rdev = tree.rdev[inode] as number;
    return 0;
  }

  open(node: NodeId): number {
    if (!this.#options.directBlobs) return -ERRNO.ENOSYS;
    const isBlob = node.hi !== 0 && node.lo === BLOB_LO;
    return isBlob ? FOPEN.DIRECT_IO : FOPEN.KEEP_CACHE;
  }

  readlink(node: NodeId, into: Uint8Array): number {
    const tree = this.#tree(node.hi);
    const inode = node.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    if (((tree.mode[inode] as number) & S.IFMT) !== S.IFLNK) {
      return -ERRNO.EINVAL;
    }
    return tree.copyTarget(inode, into);
  }

  entries(node: NodeId, first: number, emit: EmitEntry): number {
    const child = this.#entry;
    if (node.hi === 0) {
      const slots = this.#options.slots.slots();
      const inRoot = node.lo === ROOT_LO;
      if (inRoot && first === 0) { // the directory of blobs comes before the layers
        child.hi = 0;
        child.lo = BLOBS_LO;
        if (!emit(child, BLOBS_NAME, 0, BLOBS_NAME.length)) return 0;
        first = 1;
      }
      for (let i = first - Number(inRoot); i < slots.length; i++) {
        child.hi = slots[i] as number;
        child.lo = inRoot ? 1 : BLOB_LO;
        if (this.#layer(child.hi) === null) continue;
        const name = new TextEncoder().encode(String(child.hi));
        if (!emit(child, name, 0, name.length)) break;
      }
      return 0;
    }
    const tree = this.#tree(node.hi);
    const inode = node.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    if (!tree.isDirectory(inode)) return -ERRNO.ENOTDIR;
    const run = tree.first[inode] as number;
    const count = tree.count[inode] as number;
    child.hi = node.hi;
    for (let i = first; i < count; i++) {
      const offset = tree.nameOffset[run + i] as number;
      const length = tree.nameLength[run + i] as number;
      child.lo = (tree.direntInode[run + i] as number) + 1;
      if (!emit(child, tree.names, offset, offset + length)) break;
    }
    return 0;
  }

  direntType(node: NodeId): number {
    if (node.hi === 0) return S.IFDIR >> 12;
    if (node.lo === BLOB_LO) return S.IFREG >> 12;
    const tree = this.#tree(node.hi);
    if (tree === null) return 0; // DT_UNKNOWN
    return ((tree.mode[node.lo - 1] as number) & S.IFMT) >> 12;
  }

  getxattr(
    node: NodeId,
    buffer: Uint8Array,
    start: number,
    end: number,
    into: Uint8Array,
    limit: number,
  ): number {
    if (node.hi === 0) return -ERRNO.ENODATA;
    const tree = this.#tree(node.hi);
    const inode = node.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    const index = tree.findXattr(inode, buffer, start, end);
    if (index < 0) return -ERRNO.ENODATA;
    const length = tree.xattrValueLength(inode, index);
    if (limit === 0) return length;
    if (limit < length) return -ERRNO.ERANGE;
    return tree.copyXattrValue(inode, index, into);
  }

  listxattr(node: NodeId, into: Uint8Array, limit: number): number {
    if (node.hi === 0) return 0;
    const tree = this.#tree(node.hi);
    const inode = node.lo - 1;
    if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
    const count = tree.xattrCount(inode);
    let length = 0;
    for (let i = 0; i < count; i++) length += tree.xattrKeyLength(inode, i) + 1;
    if (limit === 0) return length;
    if (limit < length) return -ERRNO.ERANGE;
    let at = 0;
    for (let i = 0; i < count; i++) {
      at += tree.copyXattrKey(inode, i, into, at);
      into[at++] = 0;
    }
    return length;
  }

  read(
    node: NodeId,
    offset: number,
    size: number,
    reply: ReadReply,
    uniqueLo: number,
    uniqueHi: number,
    thread: number,
  ): number {
    this.answered(); // an error may have prevented this after the last read
    const layer = this.#layer(node.hi);
    if (layer === null) return -ERRNO.ESTALE;
    const { data } = layer;
    const dataBytes = this.#dataBytes(layer.row);
    let position: number;
    let length: number;
    if (node.lo === BLOB_LO) {
      position = offset;
      length = Math.min(size, blobBytes(dataBytes) - offset);
    } else {
      const tree = this.#treeOf(layer);
      const inode = node.lo - 1;
      if (tree === null || inode >= tree.inodes) return -ERRNO.ESTALE;
      if (((tree.mode[inode] as number) & S.IFMT) !== S.IFREG) {
        return -ERRNO.EINVAL;
      }
      position = (tree.dataOffset[inode] as number) + offset;
      length = Math.min(size, (tree.size[inode] as number) - offset);
    }
    if (length <= 0) return 0;
    // Less than `length` only at a blob's end, where zeros fill the last block.
    const held = Math.min(length, dataBytes - position);
    if (held <= 0) {
      reply.payload.fill(0, 0, length);
      return length;
    }
    const { slots, readers, worker } = this.#options;
    // From here to `answered`, bytes that are present are not destroyed.
    readers.enter(worker);
    this.#reading = data;
    const generation = slots.generation(layer.row);
    if (!slots.holds(layer.row, layer.slot)) return -ERRNO.ESTALE;
    const present = this.#isPresent(layer, position, held);
    // Unchanged: the presence bytes belonged to this layer while we looked at them.
    if (present && slots.generation(layer.row) === generation) {
      const answer = data.read(position, held, length, reply);
      // If the disk cannot return the bytes, the main isolate fetches them again.
      if (answer === length) {
        this.#count(layer, position, held);
        // A read that is put on the ring is traced when it was answered.
        const { trace } = this.#options;
        if (trace.marks[layer.row] === 1) {
          trace.add(layer.slot, position, held, ReadTrace.now(), 0);
        }
        return length;
      }
    }
    this.answered();
    if (!slots.holds(layer.row, layer.slot)) return -ERRNO.ESTALE;
    const item = this.#item;
    item.kind = RING_READ;
    item.mount = this.#options.mount;
    item.uniqueLo = uniqueLo;
    item.uniqueHi = uniqueHi;
    item.slot = node.hi;
    item.offset = position;
    item.length = length;
    item.thread = thread;
    this.#options.ring.push(item);
    return DEFERRED;
  }

  answered(): void {
    const data = this.#reading;
    if (data === null) return;
    this.#reading = null;
    const { readers, worker } = this.#options;
    readers.leave(worker);
    data.tidy();
  }

  interrupt(uniqueLo: number, uniqueHi: number): void {
    const item = this.#item;
    item.kind = RING_INTERRUPT;
    item.mount = this.#options.mount;
    item.uniqueLo = uniqueLo;
    item.uniqueHi = uniqueHi;
    item.slot = 0;
    item.offset = 0;
    item.length = 0;
    item.thread = 0;
    this.#options.ring.push(item);
  }

  statfs(into: StatFs): void {
    let bytes = 0;
    let files = 0;
    for (const { row, tree } of this.#open.values()) {
      bytes += this.#dataBytes(row);
      files += tree?.inodes ?? 1;
    }
    into.blocks = Math.ceil(bytes / 4096);
    into.blocksFree = 0;
    into.files = files;
  }

  /** Counts a read of spans that `#isPresent` has just found. */
  #count({ row }: OpenLayer, position: number, length: number): void {
    const { reads, slots, starts } = this.#options;
    starts.count(
      slots.arenaOffset(row),
      this.#firstSpan,
      position,
      length,
      reads,
    );
  }

  #isPresent(layer: OpenLayer, position: number, length: number): boolean {
    const { row } = layer;
    const { presence, uses, slots, starts } = this.#options;
    const base = slots.arenaOffset(row);
    const count = slots.spanCount(row);
    const last = starts.spanAt(base, count, position + length - 1);
    const first = this.#firstSpan = starts.spanAt(base, count, position);
    for (let span = first; span <= last; span++) {
      const state = Atomics.load(presence, base + span);
      if (state === MISSING) {
        // Bytes of the span that came ahead of it will do.
        const ranges = slots.rangeCount(row);
        if (ranges === 0) return false;
        const from = Math.max(position, starts.start(base, span));
        const to = Math.min(position + length, starts.start(base, span + 1));
        const at = slots.rangeOffset(row);
        if (!this.#options.ranges.covers(at, ranges, from, to)) return false;
      } else if (state !== PRESENT) return false;
      uses[base + span] = 1;
    }
    return true;
  }

  /** The open layer of a slot; null when it is not served or its data cannot be opened. */
  #layer(slot: number): OpenLayer | null {
    const last = this.#last;
    if (
      last !== null && last.slot === slot &&
      this.#options.slots.holds(last.row, slot)
    ) return last;
    const known = this.#open.get(slot);
    if (known !== undefined) {
      if (this.#options.slots.holds(known.row, slot)) {
        known.lastUse = ++this.#clock;
        return this.#last = known;
      }
      this.#close(known);
    }
    const row = slot === 0 ? -1 : this.#options.slots.find(slot);
    if (row < 0) return null;
    // Close the files of removed layers: otherwise they would stay open, and so on disk.
    for (const layer of [...this.#open.values()]) {
      if (!this.#options.slots.holds(layer.row, layer.slot)) this.#close(layer);
    }
    if (this.#open.size >= MAX_OPEN_LAYERS) this.#closeOldest();
    const opened = this.#openLayer(slot, row);
    if (opened === null) return null;
    this.#open.set(slot, opened);
    return this.#last = opened;
  }

  #openLayer(slot: number, row: number): OpenLayer | null {
    const path = `${this.#options.layersDirectory}/${slot}/data`;
    try {
      const data = new DataFile(path);
      return { slot, row, data, tree: null, lastUse: ++this.#clock };
    } catch (error) {
      if (error instanceof OsError) return null; // the requester gets ESTALE
      throw error;
    }
  }

  #dataBytes(row: number): number {
    const { slots, starts } = this.#options;
    return starts.dataBytes(slots.arenaOffset(row), slots.spanCount(row));
  }

  /** The tree of a slot; null when it is not served or its tree cannot be opened. */
  #tree(slot: number): LayerTree | null {
    const layer = this.#layer(slot);
    return layer === null ? null : this.#treeOf(layer);
  }

  #treeOf(layer: OpenLayer): LayerTree | null {
    return layer.tree ??= this.#openTree(layer);
  }

  #openTree({ slot, row }: OpenLayer): LayerTree | null {
    const path = `${this.#options.layersDirectory}/${slot}/tree`;
    let fd = -1;
    try {
      fd = openFd(path, O.RDONLY);
      const size = fileSize(fd);
      if (size > MAX_TREE_BYTES) return null;
      const bytes = new Uint8Array(size);
      if (preadFully(fd, bytes, 0) !== size) return null;
      const tree = new LayerTree(bytes);
      return tree.spans === this.#options.slots.spanCount(row) ? tree : null;
    } catch (error) {
      if (error instanceof Error) {
        // Unexpected, because the main isolate checked the file before it announced the slot. The
        // requester gets ESTALE; the daemon's own check of the layer reports the reason.
        return null;
      }
      throw error;
    } finally {
      if (fd >= 0) closeFd(fd);
    }
  }

  #close(layer: OpenLayer): void {
    layer.data[Symbol.dispose]();
    this.#open.delete(layer.slot);
    if (this.#last === layer) this.#last = null;
  }

  #closeOldest(): void {
    let oldest: OpenLayer | null = null;
    for (const layer of this.#open.values()) {
      if (oldest === null || layer.lastUse < oldest.lastUse) oldest = layer;
    }
    if (oldest !== null) this.#close(oldest);
  }
}

/** A positive decimal below 2^32 without leading zero; -1 otherwise. */
function parseSlot(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < 1 || end - start > 10 || buffer[start] === 0x30) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = (buffer[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value < 2 ** 32 ? value : -1;
}

function sameBytes(
  key: Uint8Array,
  buffer: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (key.length !== end - start) return false;
  for (let i = 0; i < key.length; i++) {
    if (key[i] !== buffer[start + i]) return false;
  }
  return true;
}
