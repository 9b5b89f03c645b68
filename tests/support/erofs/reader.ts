/** An inode of an image. */
export interface ErofsInode {
  readonly nid: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  /** The first block, a device number, or the chunk format. */
  readonly union: number;
  readonly inline: boolean;
  /** The device's block at which the data begins; null if the data is not in chunks. */
  readonly dataBlock: number | null;
  /** Bytes of the inline attributes. */
  readonly xattrBytes: number;
  readonly xattrs: Readonly<Record<string, string>>;
}

/** A directory entry as it stands in a block. */
export interface ErofsDirent {
  readonly name: string;
  readonly nid: number;
  readonly type: number;
}

const PREFIX: Readonly<Record<number, string>> = {
  1: "user.",
  2: "system.posix_acl_access",
  3: "system.posix_acl_default",
  4: "trusted.",
  6: "security.",
};

/** Throws if an image is not as the kernel requires. */
function demand(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`broken image: ${what}`);
}

const latin1 = (bytes: Uint8Array) =>
  Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/** Reads images as the kernel documents the format: slowly, and checking everything. */
export class ErofsReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly blockSize: number;
  readonly rootNid: number;
  readonly inodes: number;
  readonly blocks: number;
  readonly deviceBlocks: number;
  readonly deviceAddress: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#view = view;
    demand(view.getUint32(1024, true) === 0xe0f5e1e2, "magic");
    this.blockSize = 2 ** view.getUint8(1024 + 12);
    this.rootNid = view.getUint16(1024 + 14, true);
    this.inodes = Number(view.getBigUint64(1024 + 16, true));
    this.blocks = view.getUint32(1024 + 36, true);
    demand(this.blocks * this.blockSize === bytes.length, "length");
    demand(view.getUint32(1024 + 80, true) === (8 | 4), "features");
    demand(view.getUint16(1024 + 86, true) === 1, "one device");
    const slot = view.getUint16(1024 + 88, true) * 128;
    this.deviceBlocks = view.getUint32(slot + 64, true);
    this.deviceAddress = view.getUint32(slot + 68, true);
    demand(this.deviceAddress >= this.blocks, "device overlaps the image");
  }

  inode(nid: number): ErofsInode {
    const view = this.#view;
    const at = nid * 32;
    const format = view.getUint16(at, true);
    demand((format & 1) === 1, `inode ${nid} is not extended`);
    const layout = format >> 1;
    demand([0, 2, 4].includes(layout), `layout ${layout} of inode ${nid}`);
    const count = view.getUint16(at + 2, true);
    const xattrBytes = count === 0 ? 0 : 12 + 4 * (count - 1);
    const size = Number(view.getBigUint64(at + 8, true));
    return {
      nid,
      mode: view.getUint16(at + 4, true),
      size,
      union: view.getUint32(at + 16, true),
      uid: view.getUint32(at + 24, true),
      gid: view.getUint32(at + 28, true),
      mtimeSeconds: Number(view.getBigInt64(at + 32, true)),
      mtimeNanos: view.getUint32(at + 40, true),
      nlink: view.getUint32(at + 44, true),
      inline: layout === 2,
      dataBlock: layout === 4 ? this.#chunks(at, xattrBytes, size) : null,
      xattrBytes,
      xattrs: this.#xattrs(at + 64, xattrBytes),
    };
  }

  /** The first chunk's block; all others follow it without a gap. */
  #chunks(inodeAt: number, xattrBytes: number, size: number): number {
    const view = this.#view;
    const format = view.getUint16(inodeAt + 16, true);
    demand((format & ~0x1f) === 0x20, `chunk format ${format}`);
    const chunkBlocks = 2 ** (format & 0x1f);
    const at = Math.ceil((inodeAt + 64 + xattrBytes) / 8) * 8;
    const first = view.getUint32(at + 4, true);
    for (let i = 0; i * chunkBlocks * this.blockSize < size; i++) {
      demand(view.getUint16(at + 8 * i, true) === 0, "block below 2^32");
      demand(view.getUint16(at + 8 * i + 2, true) === 1, "chunk's device");
      const block = view.getUint32(at + 8 * i + 4, true);
      demand(block === first + i * chunkBlocks, "chunks in a row");
    }
    return first;
  }

  #xattrs(at: number, length: number): Record<string, string> {
    const found: Record<string, string> = {};
    if (length === 0) return found;
    demand(this.#bytes[at + 4] === 0, "shared attributes");
    const end = at + length;
    for (let entry = at + 12; entry < end;) {
      const nameBytes = this.#bytes[entry] as number;
      const prefix = PREFIX[this.#bytes[entry + 1] as number];
      demand(prefix !== undefined, "attribute prefix");
      const valueBytes = this.#view.getUint16(entry + 2, true);
      const name = entry + 4;
      const value = name + nameBytes;
      const text = latin1(this.#bytes.subarray(name, value));
      found[prefix + text] = latin1(
        this.#bytes.subarray(value, value + valueBytes),
      );
      entry = Math.ceil((value + valueBytes) / 4) * 4;
      demand(entry <= end, "attributes end behind their place");
    }
    return found;
  }

  /** A directory's or symlink's bytes. */
  body(inode: ErofsInode): Uint8Array {
    const { size, nid } = inode;
    if (!inode.inline) {
      const at = inode.union * this.blockSize;
      demand(inode.union + Math.ceil(size / this.blockSize) <= this.blocks, "");
      return this.#bytes.subarray(at, at + size);
    }
    const at = nid * 32 + 64 + inode.xattrBytes;
    demand(size > 0 && size <= this.blockSize, `inline size ${size}`);
    demand(
      Math.floor(at / this.blockSize) ===
        Math.floor((at + size - 1) / this.blockSize),
      `inline data of ${nid} crosses a block`,
    );
    return this.#bytes.subarray(at, at + size);
  }

  /** The blocks of a directory, each with its entries in order. */
  directory(inode: ErofsInode): ErofsDirent[][] {
    const body = this.body(inode);
    const blocks: ErofsDirent[][] = [];
    for (let at = 0; at < body.length; at += this.blockSize) {
      blocks.push(this.#block(body.subarray(at, at + this.blockSize)));
    }
    return blocks;
  }

  #block(block: Uint8Array): ErofsDirent[] {
    const view = new DataView(block.buffer, block.byteOffset, block.length);
    const first = view.getUint16(8, true);
    demand(first % 12 === 0 && first > 0 && first < block.length, "nameoff");
    const count = first / 12;
    return Array.from({ length: count }, (_, i) => {
      const at = i * 12;
      const from = view.getUint16(at + 8, true);
      const to = i + 1 < count
        ? view.getUint16(at + 20, true)
        : from + this.#lastName(block.subarray(from));
      demand(from < to && to <= block.length, "name in its block");
      demand(view.getUint32(at + 4, true) === 0, "nid below 2^32");
      return {
        nid: view.getUint32(at, true),
        type: block[at + 10] as number,
        name: latin1(block.subarray(from, to)),
      };
    });
  }

  #lastName(rest: Uint8Array): number {
    const zero = rest.indexOf(0);
    return zero < 0 ? rest.length : zero;
  }

  /**
   * Finds the entry of that name as the kernel does: by binary search, first over the blocks, then in a
   * block.
   */
  lookup(inode: ErofsInode, name: string): ErofsDirent | null {
    const blocks = this.directory(inode);
    let low = 0;
    let high = blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (blocks[middle]![0]!.name <= name) low = middle;
      else high = middle - 1;
    }
    const block = blocks[low]!;
    let from = 0;
    let to = block.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      const entry = block[middle]!;
      if (entry.name === name) return entry;
      if (entry.name < name) from = middle + 1;
      else to = middle;
    }
    return null;
  }
}
