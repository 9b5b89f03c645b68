import { Engine, faultText, STATUS, WINDOW_BYTES } from "./engine.ts";
import { DeflateError } from "./errors.ts";
import { parseGzipHeader } from "./header.ts";

const TRAILER_BYTES = 8;

/** Inflates spans, one at a time, in memory of its own that is used again. */
export class SpanInflater {
  readonly #engine = new Engine();
  #large = new Uint8Array(0);

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
    const bytes = this.#inflate(compressed, bits, window, size);
    if (bytes.length < size) {
      throw new DeflateError(
        "truncated",
        compressed.length,
        `the span gives ${bytes.length} bytes, not ${size}`,
      );
    }
    return bytes;
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
    return this.#inflate(compressed, bits, window, maxSize);
  }

  #inflate(
    compressed: Uint8Array,
    bits: number,
    window: Uint8Array,
    size: number,
  ): Uint8Array<ArrayBuffer> {
    if (bits < 0 || bits > 7 || window.length !== WINDOW_BYTES || size < 0) {
      throw new RangeError("no checkpoint");
    }
    const engine = this.#engine;
    if (size === 0) return engine.memory.subarray(0, 0);
    if (bits > 0 && compressed.length === 0) {
      throw new DeflateError("truncated", 0, "the span is empty");
    }
    engine.reset();
    engine.memory.set(window, engine.outStart - WINDOW_BYTES);
    let fed = bits > 0 ? 1 : 0;
    engine.start({
      primedBits: bits,
      primed: bits > 0 ? (compressed[0] as number) >> (8 - bits) : 0,
      keepHistory: true,
    });
    const state = { done: 0, large: false };
    const feed = () => {
      const taken = engine.feed(compressed, fed);
      fed += taken;
      return taken > 0;
    };
    const offset = () => fed - (engine.inEnd - engine.inAt);
    /** Output so far that is not yet moved to `large`. */
    const here = () => engine.outAt - engine.outStart;

    for (;;) {
      if (state.done + here() >= size) break;
      const status = engine.run();
      if (status === STATUS.NEED_INPUT) {
        if (!feed()) break;
      } else if (status === STATUS.OUT_FULL) {
        // Rare: a span larger than the kernel's room (huge single blocks).
        this.#spill(state, size);
      } else if (status === STATUS.STREAM_END) {
        if (state.done + here() >= size) break;
        if (!this.#nextMember(feed, offset)) break;
      } else if (status < 0) {
        throw new DeflateError("data", offset(), faultText(status));
      }
    }
    const total = Math.min(size, state.done + here());
    if (!state.large) {
      return engine.memory.subarray(engine.outStart, engine.outStart + total);
    }
    this.#spill(state, size);
    return this.#large.subarray(0, total);
  }

  /** Moves output to a buffer of the span's size. */
  #spill(state: { done: number; large: boolean }, size: number): void {
    if (this.#large.length < size) this.#large = new Uint8Array(size);
    const engine = this.#engine;
    const bytes = engine.memory.subarray(engine.outStart, engine.outAt);
    const room = this.#large.length - state.done;
    this.#large.set(
      bytes.length <= room ? bytes : bytes.subarray(0, room),
      state.done,
    );
    state.done += bytes.length;
    state.large = true;
    engine.slide();
  }

  /** Goes over a member's trailer and the next one's header; false when there is no next one. */
  #nextMember(feed: () => boolean, offset: () => number): boolean {
    const engine = this.#engine;
    while (engine.unread().length < TRAILER_BYTES + 1) {
      if (!feed()) return false;
    }
    engine.inAt += TRAILER_BYTES;
    for (;;) {
      const result = parseGzipHeader(engine.unread());
      if (typeof result === "string") {
        throw new DeflateError("header", offset(), result);
      }
      if (result > 0) {
        engine.inAt += result;
        break;
      }
      if (!feed()) {
        throw new DeflateError("truncated", offset(), "header is cut off");
      }
    }
    engine.start({ primedBits: 0, primed: 0, keepHistory: false });
    return true;
  }
}
