/**
 * The names of a tree while it is built. Each is stored once and has a number; a hash of its bytes
 * finds it.
 */

/** The longest probe sequence; beyond it, the input counts as a collision attack. */
const MAX_PROBES = 4096;

/** The names were chosen to collide. The caller adds the entry's number. */
export class CollisionError extends Error {
  override readonly name = "CollisionError";
}

/** The number of a name in its table. */
export type NameId = number;

/** Grows an array by doubling and keeps its contents. */
export function grown<T extends Uint32Array | Float64Array | Uint8Array>(
  array: T,
  least: number,
): T {
  const larger = new (array.constructor as { new (length: number): T })(
    Math.max(least, array.length * 2),
  );
  larger.set(array as never);
  return larger;
}

/** Byte strings, each stored once. */
export class NameTable {
  #bytes = new Uint8Array(1 << 16);
  #length = 0;
  #count = 0;
  #offset = new Uint32Array(1 << 12);
  #size = new Uint32Array(1 << 12);
  #hash = new Uint32Array(1 << 12);
  /** The hash table: name number + 1, or 0 if empty. */
  #slots = new Uint32Array(1 << 13);
  // Random per run, so that nobody can prepare colliding names.
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0] as number;

  /** All stored bytes, one name after another. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The bytes of a name: a view, valid until the next `put`. */
  view(id: NameId): Uint8Array {
    const offset = this.#offset[id] as number;
    return this.#bytes.subarray(offset, offset + (this.#size[id] as number));
  }

  offset(id: NameId): number {
    return this.#offset[id] as number;
  }

  size(id: NameId): number {
    return this.#size[id] as number;
  }

  /** The number of the name `source[start … end)`; stores a new one. @throws CollisionError */
  put(source: Uint8Array, start: number, end: number): NameId {
    const size = end - start;
    let hash = this.#seed;
    for (let i = start; i < end; i++) {
      hash = Math.imul(hash ^ (source[i] as number), 0x5bd1e995);
      hash ^= hash >>> 15;
    }
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    for (let probes = 0;; probes++) {
      const found = this.#slots[at] as number;
      if (found === 0) break;
      if (
        this.#hash[found - 1] === hash && this.#size[found - 1] === size &&
        this.#same(this.#offset[found - 1] as number, source, start, size)
      ) return found - 1;
      if (probes > MAX_PROBES) throw new CollisionError("names collide");
      at = (at + 1) & mask;
    }
    const id = this.#count++;
    if (id === this.#offset.length) {
      this.#offset = grown(this.#offset, 0);
      this.#size = grown(this.#size, 0);
      this.#hash = grown(this.#hash, 0);
    }
    if (this.#length + size > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, this.#length + size);
    }
    for (let i = 0; i < size; i++) {
      this.#bytes[this.#length + i] = source[start + i] as number;
    }
    this.#offset[id] = this.#length;
    this.#size[id] = size;
    this.#hash[id] = hash;
    this.#length += size;
    this.#slots[at] = id + 1;
    if (this.#count * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  #same(
    offset: number,
    source: Uint8Array,
    start: number,
    size: number,
  ): boolean {
    for (let i = 0; i < size; i++) {
      if (this.#bytes[offset + i] !== source[start + i]) return false;
    }
    return true;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let id = 0; id < this.#count; id++) {
      let at = (this.#hash[id] as number) & mask;
      while (slots[at] !== 0) at = (at + 1) & mask;
      slots[at] = id + 1;
    }
    this.#slots = slots;
  }

  /** Compares two names by their bytes. */
  compare(a: NameId, b: NameId): number {
    const bytes = this.#bytes;
    const offsetA = this.#offset[a] as number;
    const offsetB = this.#offset[b] as number;
    const sizeA = this.#size[a] as number;
    const sizeB = this.#size[b] as number;
    const shared = sizeA < sizeB ? sizeA : sizeB;
    for (let i = 0; i < shared; i++) {
      const order = (bytes[offsetA + i] as number) -
        (bytes[offsetB + i] as number);
      if (order !== 0) return order;
    }
    return sizeA - sizeB;
  }
}

/** Maps a directory and a name to an inode. Dirents are numbered in order of first mention. */
export class DirentTable {
  count = 0;
  #parent = new Uint32Array(1 << 12);
  #name = new Uint32Array(1 << 12);
  #inode = new Uint32Array(1 << 12);
  #slots = new Uint32Array(1 << 13);
  // Random in each run, as of names: numbers of directories and names are whatever a list makes them.
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0] as number;

  parent(dirent: number): number {
    return this.#parent[dirent] as number;
  }

  nameId(dirent: number): NameId {
    return this.#name[dirent] as number;
  }

  inode(dirent: number): number {
    return this.#inode[dirent] as number;
  }

  /** The inode, or -1. @throws CollisionError */
  find(parent: number, name: NameId): number {
    const found = this.#slots[this.#slot(parent, name)] as number;
    return found === 0 ? -1 : this.#inode[found - 1] as number;
  }

  /** Sets the inode of a name, replacing an earlier one. @throws CollisionError */
  set(parent: number, name: NameId, inode: number): void {
    const at = this.#slot(parent, name);
    const found = this.#slots[at] as number;
    if (found !== 0) {
      this.#inode[found - 1] = inode;
      return;
    }
    const dirent = this.count++;
    if (dirent === this.#parent.length) {
      this.#parent = grown(this.#parent, 0);
      this.#name = grown(this.#name, 0);
      this.#inode = grown(this.#inode, 0);
    }
    this.#parent[dirent] = parent;
    this.#name[dirent] = name;
    this.#inode[dirent] = inode;
    this.#slots[at] = dirent + 1;
    if (this.count * 2 > this.#slots.length) this.#rehash();
  }

  #home(parent: number, name: NameId): number {
    let hash = this.#seed ^ Math.imul(parent, 0x9e3779b1) ^
      Math.imul(name, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) >>> 0;
  }

  /** The slot where a dirent is, or would be. */
  #slot(parent: number, name: NameId): number {
    const mask = this.#slots.length - 1;
    let at = this.#home(parent, name) & mask;
    for (let probes = 0;; probes++) {
      const found = this.#slots[at] as number;
      if (
        found === 0 ||
        (this.#name[found - 1] === name && this.#parent[found - 1] === parent)
      ) return at;
      if (probes > MAX_PROBES) throw new CollisionError("entries collide");
      at = (at + 1) & mask;
    }
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let dirent = 0; dirent < this.count; dirent++) {
      let at = this.#home(
        this.#parent[dirent] as number,
        this.#name[dirent] as number,
      ) & mask;
      while (slots[at] !== 0) at = (at + 1) & mask;
      slots[at] = dirent + 1;
    }
    this.#slots = slots;
  }
}
