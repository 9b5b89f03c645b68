import { ZtocError } from "./errors.ts";

const EMPTY = new Uint8Array(0);

/** Where numbers are read: memory, or a file. Places are checked before. */
export type NumberView = Pick<
  DataView,
  "getUint8" | "getUint16" | "getInt32" | "getUint32"
>;

/** Where bytes are read. */
export type ByteView = Pick<Uint8Array, "length" | "subarray">;

/**
 * Reads a FlatBuffer from an untrusted place. Every step is checked against the buffer's end, and
 * everything visited is charged to a budget that is a small multiple of the buffer's size: tables,
 * strings and vectors may be shared (the format allows it), but a small buffer cannot unfold into a
 * large object. Strings and byte vectors are views of the buffer.
 */
export class FlatBufferReader {
  readonly #bytes: ByteView;
  readonly #view: NumberView;
  #budget: number;

  /** Reads what is in memory; or by other views of it. */
  constructor(
    bytes: Uint8Array | { readonly bytes: ByteView; readonly view: NumberView },
  ) {
    // A plain view also of a Node Buffer, so that all views of it are plain.
    const { bytes: all, view } = bytes instanceof Uint8Array
      ? {
        bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length),
        view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
      }
      : bytes;
    this.#bytes = all;
    this.#view = view;
    this.#budget = 4 * all.length + 65536;
  }

  #check(at: number, length: number, what: string): void {
    if (at < 0 || length < 0 || at + length > this.#bytes.length) {
      throw new ZtocError("bounds", at, `${what} lies outside the buffer`);
    }
  }

  #charge(length: number, at: number): void {
    this.#budget -= length;
    if (this.#budget < 0) {
      throw new ZtocError("too-large", at, "the buffer refers to itself");
    }
  }

  /** The root table. */
  root(): Table {
    this.#check(0, 4, "root");
    return this.table(this.#view.getUint32(0, true));
  }

  /** The table at a position. */
  table(at: number): Table {
    this.#check(at, 4, "table");
    const vtable = at - this.#view.getInt32(at, true);
    this.#check(vtable, 4, "vtable");
    const vtableSize = this.#view.getUint16(vtable, true);
    const tableSize = this.#view.getUint16(vtable + 2, true);
    if (vtableSize < 4 || vtableSize % 2 !== 0 || tableSize < 4) {
      throw new ZtocError("value", vtable, "broken vtable");
    }
    this.#check(vtable, vtableSize, "vtable");
    this.#check(at, tableSize, "table");
    this.#charge(tableSize + 4, at);
    return { at, size: tableSize, vtable, vtableSize };
  }

  /** Where a field of `width` bytes is, or -1 when it is absent. */
  #field(table: Table, slot: number, width: number): number {
    const entry = 4 + 2 * slot;
    if (entry >= table.vtableSize) return -1;
    const place = this.#view.getUint16(table.vtable + entry, true);
    if (place === 0) return -1;
    if (place < 4 || place + width > table.size) {
      throw new ZtocError("bounds", table.at, `field ${slot} leaves its table`);
    }
    return table.at + place;
  }

  /** Where a field points to, or -1. */
  #target(table: Table, slot: number): number {
    const at = this.#field(table, slot, 4);
    return at < 0 ? -1 : at + this.#view.getUint32(at, true);
  }

  /** A byte. */
  byte(table: Table, slot: number, otherwise: number): number {
    const at = this.#field(table, slot, 1);
    return at < 0 ? otherwise : this.#view.getUint8(at);
  }

  /** A signed 32-bit number, 0 when absent. */
  int32(table: Table, slot: number): number {
    const at = this.#field(table, slot, 4);
    return at < 0 ? 0 : this.#view.getInt32(at, true);
  }

  /** An unsigned 32-bit number, 0 when absent. */
  uint32(table: Table, slot: number): number {
    const at = this.#field(table, slot, 4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }

  /** A signed 64-bit number within ±2^53, 0 when absent. */
  int64(table: Table, slot: number): number {
    const at = this.#field(table, slot, 8);
    if (at < 0) return 0;
    const value = this.#view.getInt32(at + 4, true) * 2 ** 32 +
      this.#view.getUint32(at, true);
    if (!Number.isSafeInteger(value)) {
      throw new ZtocError("value", at, "number over 2^53");
    }
    return value;
  }

  /** A string or byte vector; empty when absent. */
  bytes(table: Table, slot: number): Uint8Array {
    const at = this.#target(table, slot);
    return at < 0 ? EMPTY : this.bytesAt(at);
  }

  /** Where a byte vector begins and how long it is; nothing of it is read. Null when it is absent. */
  place(table: Table, slot: number): { at: number; length: number } | null {
    const at = this.#target(table, slot);
    return at < 0 ? null : { at: at + 4, length: this.#count(at, 1) };
  }

  /** The string or byte vector at a position. */
  bytesAt(at: number): Uint8Array {
    const count = this.#count(at, 1);
    return count === 0 ? EMPTY : this.#bytes.subarray(at + 4, at + 4 + count);
  }

  #count(at: number, elementSize: number): number {
    this.#check(at, 4, "vector");
    const count = this.#view.getUint32(at, true);
    this.#check(at + 4, count * elementSize, "vector's end");
    this.#charge(4 + count * elementSize, at);
    return count;
  }

  /** The table a field refers to. */
  child(table: Table, slot: number): Table | null {
    const at = this.#target(table, slot);
    return at < 0 ? null : this.table(at);
  }

  /** A vector of references: its length, and where each points to. */
  references(table: Table, slot: number): References {
    const at = this.#target(table, slot);
    if (at < 0) return { count: 0, target: () => -1 };
    const count = this.#count(at, 4);
    return {
      count,
      target: (i) => {
        const element = at + 4 + 4 * i;
        return element + this.#view.getUint32(element, true);
      },
    };
  }
}

/** A table whose bounds and vtable were checked. */
export interface Table {
  readonly at: number;
  readonly size: number;
  readonly vtable: number;
  readonly vtableSize: number;
}

/** A vector of references; `target(i)` is where element i points to, not checked yet. */
export interface References {
  readonly count: number;
  readonly target: (i: number) => number;
}
