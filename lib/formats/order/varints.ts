import { OrderError } from "./errors.ts";

/** Writes a plan's bytes. */
export class PlanWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  /** Appends bytes as they are. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends a number from 0 to 2^53 - 1: seven bits a byte, the lowest first. */
  varint(value: number): void {
    this.#reserve(8);
    while (value >= 0x80) {
      this.#bytes[this.#length++] = value % 0x80 + 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#length++] = value;
  }

  /** Appends a number of either sign, the sign in the lowest bit. */
  signed(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  /** All that was appended. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const size = Math.max(2 * this.#bytes.length, this.#length + more);
    const larger = new Uint8Array(size);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** Reads a plan's bytes; every read is bounded and says where it failed. */
export class PlanReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  /** At the first byte. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether nothing is left. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The next bytes, a view. @throws OrderError */
  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw this.error("bounds", "it ends here");
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /**
   * A number up to `max`. Only its shortest form is taken, so a plan has one form alone.
   * @param what the field, for errors. @throws OrderError
   */
  varint(max: number, what: string): number {
    let value = 0;
    for (let scale = 1;; scale *= 0x80) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) {
        throw this.error("bounds", `${what} is cut short`);
      }
      value += (byte % 0x80) * scale;
      if (value > max) throw this.error("too-large", `${what} is over ${max}`);
      if (byte < 0x80) {
        if (byte !== 0 || scale === 1) return value;
        throw this.error("value", `${what} is not in its shortest form`);
      }
      // A number in its shortest form has its highest bits in its last byte: more bytes mean more.
      if (scale > max) throw this.error("too-large", `${what} is over ${max}`);
    }
  }

  /** A number from -max to max. @throws OrderError */
  signed(max: number, what: string): number {
    const coded = this.varint(2 * max, what);
    return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
  }

  /** An error that names this place. */
  error(code: OrderError["code"], detail: string): OrderError {
    return new OrderError(code, `load order at byte ${this.#at}: ${detail}`);
  }
}
