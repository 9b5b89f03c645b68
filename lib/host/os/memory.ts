import { cString } from "./files.ts";
import { libc } from "./libc.ts";

/**
 * Memory for structures that hold addresses of one another, as `sendmsg` and `posix_spawn` need them. It
 * is one buffer that is too large for V8's own (moving) heap, so addresses stay valid as long as the
 * arena is reachable.
 */
export class Arena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly #base: bigint;
  #used = 0;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(Math.max(sizeBytes, 4096));
    this.view = new DataView(this.bytes.buffer);
    this.#base = BigInt(libc.addressOf(this.bytes, this.bytes, 0n));
  }

  /** Offset of `length` zero bytes, on 8 bytes. @throws RangeError when the arena is full. */
  take(length: number): number {
    const at = this.#used;
    this.#used = Math.ceil((at + length) / 8) * 8;
    if (this.#used > this.bytes.length) throw new RangeError("arena is full");
    return at;
  }

  /** Copies bytes in; returns their offset. */
  put(bytes: Uint8Array): number {
    const at = this.take(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }

  /** Address of an offset. */
  address(at: number): bigint {
    return this.#base + BigInt(at);
  }

  /** A null-terminated array of addresses of C strings; returns its offset. */
  strings(texts: readonly string[]): number {
    const offsets = texts.map((text) => this.put(cString(text)));
    const at = this.take((texts.length + 1) * 8);
    offsets.forEach((offset, i) =>
      this.view.setBigUint64(at + i * 8, this.address(offset), true)
    );
    return at;
  }

  /** The bytes from an offset on, to be given to a call. */
  from(at: number): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(at);
  }
}
