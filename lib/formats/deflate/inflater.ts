import { Engine, faultText, STATUS, WINDOW_BYTES } from "./engine.ts";
import { DeflateError } from "./errors.ts";
import { mayBeginMember, parseGzipHeader } from "./header.ts";

const TRAILER_BYTES = 8;
const NOTHING = new Uint8Array(0);

/**
 * Where the inflating of a span stands.
 * ```text
 * start ──first byte──► body ◄──next header── between ◄──member ends── body
 *                        │                       ├──no more input──► (the span ends there)
 *                        │                       └──no member follows──► full
 *                        └──enough bytes──► full
 * ```
 */
type Phase = "start" | "body" | "between" | "full";

/**
 * Inflates spans, one at a time, in its own reused memory. Either at once (`inflate`), or as the bytes
 * arrive: `begin`, `push` for each piece, `end`.
 */
export class SpanInflater {
  readonly #engine = new Engine();
  #phase: Phase = "full";
  /** Output that had to be moved out of the kernel's memory: spans larger than its room. */
  #large: Uint8Array<ArrayBuffer> = NOTHING;
  #moved = 0;
  #isLarge = false;
  #size = 0;
  #bits = 0;
  /** Compressed bytes taken, for errors. */
  #taken = 0;

  /**
   * Inflates one span.
   * @param compressed the span's bytes; when `bits` > 0 the first one is shared with the span before.
   * @param bits high bits of the first byte that belong to this span, 0 … 7.
   * @param window the checkpoint's 32 768 bytes.
   * @param size uncompressed bytes wanted; the span must give at least as many.
   * @returns a view, valid until the next call.
   * @throws DeflateError; its offset counts from the span's first byte.
   */
  inflate(
    compressed: Uint8Array,
    bits: number,
    window: Uint8Array,
    size: number,
  ): Uint8Array<ArrayBuffer> {
    this.begin(bits, window, size);
    this.push(compressed);
    return this.end();
  }

  /**
   * Inflates all that `compressed` gives from a checkpoint on, but at most `maxSize` bytes.
   * @returns a view, valid until the next call.
   * @throws DeflateError
   */
  inflateToEnd(
    compressed: Uint8Array,
    bits: number,
    window: Uint8Array,
    maxSize: number,
  ): Uint8Array<ArrayBuffer> {
    this.begin(bits, window, maxSize);
    this.push(compressed);
    return this.endAnyway();
  }

  /** Begins a span; see `inflate`. What was begun before is dropped. */
  begin(bits: number, window: Uint8Array, size: number): void {
    if (bits < 0 || bits > 7 || window.length !== WINDOW_BYTES || size < 0) {
      throw new RangeError("no checkpoint");
    }
    const engine = this.#engine;
    engine.reset();
    engine.memory.set(window, engine.outStart - WINDOW_BYTES);
    this.#phase = size === 0 ? "full" : "start";
    this.#size = size;
    this.#bits = bits;
    this.#moved = 0;
    this.#isLarge = false;
    this.#taken = 0;
  }

  /** Takes the span's next bytes and inflates them. @throws DeflateError */
  push(compressed: Uint8Array): void {
    if (compressed.length === 0 || this.#phase === "full") return;
    const engine = this.#engine;
    let fed = 0;
    const feed = () => {
      const taken = engine.feed(compressed, fed);
      fed += taken;
      this.#taken += taken;
      return taken > 0;
    };
    if (this.#phase === "start") {
      const primed = this.#bits > 0;
      engine.start({
        primedBits: this.#bits,
        primed: primed ? (compressed[0] as number) >> (8 - this.#bits) : 0,
        keepHistory: true,
      });
      this.#taken = fed = primed ? 1 : 0;
      this.#phase = "body";
    }
    for (;;) {
      if (this.#phase === "between" && !this.#nextMember(feed)) return;
      if (this.#produced() >= this.#size) break;
      const status = engine.run();
      if (status === STATUS.NEED_INPUT) {
        if (!feed()) return;
      } else if (status === STATUS.OUT_FULL) {
        // Rare: a span larger than the kernel's room (huge single blocks).
        this.#spill();
      } else if (status === STATUS.STREAM_END) {
        this.#phase = "between";
        if (this.#produced() >= this.#size) break;
      } else if (status < 0) {
        throw new DeflateError("data", this.#offset(), faultText(status));
      }
    }
    this.#phase = "full";
  }

  /**
   * What was inflated so far, from the span's beginning: a view, valid until the next call. Nothing, where that
   * is not at hand: of spans that are larger than the kernel's room.
   */
  soFar(): Uint8Array<ArrayBuffer> {
    return this.#isLarge ? NOTHING : this.#output();
  }

  /**
   * Ends the span.
   * @returns its `size` bytes: a view, valid until the next call.
   * @throws DeflateError when there are fewer.
   */
  end(): Uint8Array<ArrayBuffer> {
    const bytes = this.#output();
    if (bytes.length < this.#size) {
      throw new DeflateError(
        "truncated",
        this.#taken,
        `the span gives ${bytes.length} bytes, not ${this.#size}`,
      );
    }
    return bytes;
  }

  /**
   * Ends the span, however little it gave.
   * @returns what it gave, `size` bytes at most: a view, valid until the next call.
   */
  endAnyway(): Uint8Array<ArrayBuffer> {
    return this.#output();
  }

  /** Bytes inflated so far. */
  #produced(): number {
    return this.#moved + this.#engine.outAt - this.#engine.outStart;
  }

  /** The compressed bytes consumed so far, for errors. */
  #offset(): number {
    return this.#taken - (this.#engine.inEnd - this.#engine.inAt);
  }

  #output(): Uint8Array<ArrayBuffer> {
    const engine = this.#engine;
    if (this.#size === 0 || this.#phase === "start") return NOTHING;
    const total = Math.min(this.#size, this.#produced());
    if (!this.#isLarge) {
      return engine.memory.subarray(engine.outStart, engine.outStart + total);
    }
    this.#spill();
    return this.#large.subarray(0, total);
  }

  /** Moves output to a buffer of the span's size. */
  #spill(): void {
    if (this.#large.length < this.#size) {
      this.#large = new Uint8Array(this.#size);
    }
    const engine = this.#engine;
    const bytes = engine.memory.subarray(engine.outStart, engine.outAt);
    const room = Math.max(0, this.#large.length - this.#moved);
    this.#large.set(
      bytes.length <= room ? bytes : bytes.subarray(0, room),
      Math.min(this.#moved, this.#large.length),
    );
    this.#moved += bytes.length;
    this.#isLarge = true;
    engine.slide();
  }

  /**
   * Goes over a member's trailer and the next one's header.
   * @returns false when more input is needed for that, if there is more, or no member follows.
   */
  #nextMember(feed: () => boolean): boolean {
    const engine = this.#engine;
    for (;;) {
      const unread = engine.unread();
      if (unread.length > TRAILER_BYTES) {
        const next = unread.subarray(TRAILER_BYTES);
        if (!mayBeginMember(next)) {
          this.#phase = "full";
          return false;
        }
        const result = parseGzipHeader(next);
        if (typeof result === "string") {
          throw new DeflateError(
            "header",
            this.#offset() + TRAILER_BYTES,
            result,
          );
        }
        if (result > 0) {
          engine.inAt += TRAILER_BYTES + result;
          break;
        }
      }
      if (!feed()) return false;
    }
    engine.start({ primedBits: 0, primed: 0, keepHistory: false });
    this.#phase = "body";
    return true;
  }
}
