/** Results over this size are not copied. */
const LARGE_BYTES = 8 * 2 ** 20;

/**
 * Writes one FlatBuffer, growing from its end to its start, with the same placement decisions as
 * Go's builder: equal calls in equal order give equal bytes, which is what makes a ztoc's digest
 * reproducible across tools. Positions are counted from the end ("offsets"), as they do not change
 * when the buffer grows.
 */
export class FlatBufferWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #head: number;
  #minAlign = 1;
  /** Offsets of the fields of the table being written, by slot; 0: absent. */
  readonly #fields: number[] = [];
  #tableEnd = 0;
  /** Vtables written, by the places in them. */
  readonly #vtables = new Map<string, number>();
  /** The one written last: neighbours are often alike. */
  #lastVtable:
    | { readonly places: readonly number[]; readonly offset: number }
    | null = null;

  constructor(sizeHint = 1024) {
    this.#bytes = new Uint8Array(Math.max(64, sizeHint));
    this.#view = new DataView(this.#bytes.buffer);
    this.#head = this.#bytes.length;
  }

  /** Bytes written so far; also the offset of what was written last. */
  get offset(): number {
    return this.#bytes.length - this.#head;
  }

  /** Pads so that after `additional` more bytes the offset is a multiple of `size`. */
  #prepare(size: number, additional: number): void {
    if (size > this.#minAlign) this.#minAlign = size;
    const padding = -(this.offset + additional) & (size - 1);
    const needed = padding + size + additional;
    if (this.#head < needed) this.#grow(needed);
    // The buffer is all zeros where nothing was written, so padding is a step.
    this.#head -= padding;
  }

  #grow(needed: number): void {
    const used = this.offset;
    const grown = new Uint8Array(
      Math.max(this.#bytes.length * 2, used + needed),
    );
    grown.set(this.#bytes.subarray(this.#head), grown.length - used);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
    this.#head = grown.length - used;
  }

  #uint16(value: number): void {
    this.#prepare(2, 0);
    this.#head -= 2;
    this.#view.setUint16(this.#head, value, true);
  }

  #uint32(value: number): void {
    this.#prepare(4, 0);
    this.#head -= 4;
    this.#view.setUint32(this.#head, value, true);
  }

  /** The distance to something written earlier. */
  #reference(offset: number): void {
    this.#prepare(4, 0);
    this.#uint32(this.offset - offset + 4);
  }

  /** Writes a string, with a NUL behind it. */
  string(bytes: Uint8Array): number {
    this.#prepare(4, bytes.length + 1);
    this.#head -= bytes.length + 1;
    this.#bytes.set(bytes, this.#head);
    this.#uint32(bytes.length);
    return this.offset;
  }

  /** Writes a string given as text; the common short ASCII ones without a detour. */
  text(text: string): number {
    for (let i = 0; i < text.length; i++) {
      if (text.charCodeAt(i) > 0x7f) {
        return this.string(new TextEncoder().encode(text));
      }
    }
    this.#prepare(4, text.length + 1);
    this.#head -= text.length + 1;
    for (let i = 0; i < text.length; i++) {
      this.#bytes[this.#head + i] = text.charCodeAt(i);
    }
    this.#uint32(text.length);
    return this.offset;
  }

  /** Writes a vector of bytes, which `write` puts in their place. */
  byteVector(
    length: number,
    write: (into: Uint8Array<ArrayBuffer>) => void,
  ): number {
    this.#prepare(4, length);
    this.#head -= length;
    write(this.#bytes.subarray(this.#head, this.#head + length));
    this.#uint32(length);
    return this.offset;
  }

  /** Writes a vector of references. */
  vector(offsets: readonly number[]): number {
    this.#prepare(4, 4 * offsets.length);
    for (let i = offsets.length - 1; i >= 0; i--) this.#reference(offsets[i]!);
    this.#uint32(offsets.length);
    return this.offset;
  }

  /** Begins a table; nothing but its fields may be written until {@link endTable}. */
  startTable(): void {
    this.#fields.length = 0;
    this.#tableEnd = this.offset;
  }

  #setField(slot: number): void {
    while (this.#fields.length <= slot) this.#fields.push(0);
    this.#fields[slot] = this.offset;
  }

  /** Adds a reference. */
  addReference(slot: number, offset: number): void {
    this.#reference(offset);
    this.#setField(slot);
  }

  /** Adds a byte, unless it is the default. */
  addByte(slot: number, value: number, otherwise: number): void {
    if (value === otherwise) return;
    this.#prepare(1, 0);
    this.#bytes[--this.#head] = value;
    this.#setField(slot);
  }

  /** Adds a 32-bit number, signed or not, unless it is 0. */
  addInt32(slot: number, value: number): void {
    if (value === 0) return;
    this.#uint32(value >>> 0);
    this.#setField(slot);
  }

  /** Adds a 64-bit number within ±2^53, unless it is 0. */
  addInt64(slot: number, value: number): void {
    if (value === 0) return;
    this.#prepare(8, 0);
    this.#head -= 8;
    this.#view.setUint32(this.#head, value >>> 0, true);
    this.#view.setInt32(this.#head + 4, Math.floor(value / 2 ** 32), true);
    this.#setField(slot);
  }

  /** Ends a table: a vtable that was written before is used again. */
  endTable(): number {
    this.#uint32(0); // the distance to the vtable, known below
    const table = this.offset;
    const vtable = this.#knownVtable(table) ?? this.#writeVtable(table);
    this.#view.setInt32(this.#bytes.length - table, vtable - table, true);
    return table;
  }

  /** Like Go's builder, tables of other sizes may share a vtable when all fields lie the same. */
  #knownVtable(table: number): number | undefined {
    const fields = this.#fields;
    const last = this.#lastVtable;
    let same = last !== null && last.places.length === fields.length;
    for (let slot = 0; same && slot < fields.length; slot++) {
      const field = fields[slot]!;
      same = last!.places[slot] === (field === 0 ? 0 : table - field);
    }
    return same ? last!.offset : this.#vtables.get(this.#places(table).join());
  }

  /** Where each field lies in its table. */
  #places(table: number): number[] {
    return this.#fields.map((field) => field === 0 ? 0 : table - field);
  }

  #writeVtable(table: number): number {
    const places = this.#places(table);
    for (let i = places.length - 1; i >= 0; i--) this.#uint16(places[i]!);
    this.#uint16(table - this.#tableEnd);
    this.#uint16((places.length + 2) * 2);
    const offset = this.offset;
    this.#lastVtable = { places, offset };
    this.#vtables.set(places.join(), offset);
    return offset;
  }

  /**
   * Ends the buffer; the writer is not to be used again.
   * @returns bytes with a buffer of their own, but for large ones, whose copy would be felt.
   */
  finish(root: number): Uint8Array<ArrayBuffer> {
    this.#prepare(this.#minAlign, 4);
    this.#reference(root);
    return this.offset > LARGE_BYTES
      ? this.#bytes.subarray(this.#head)
      : this.#bytes.slice(this.#head);
  }
}
