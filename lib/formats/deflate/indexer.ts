import { crc32 } from "node:zlib";
import { Engine, faultText, STATUS, WINDOW_BYTES } from "./engine.ts";
import { DeflateError } from "./errors.ts";
import { mayBeginMember, parseGzipHeader } from "./header.ts";

/** A place where the stream can be entered. */
export interface Checkpoint {
  /** Compressed bytes before it, a partly used byte included. */
  readonly in: number;
  /** Uncompressed bytes before it. */
  readonly out: number;
  /** High bits of byte `in − 1` that still belong to what follows, 0 … 7. */
  readonly bits: number;
  /** The 32 768 bytes of output before it, zeros on the left where there are fewer. A copy. */
  readonly window: Uint8Array<ArrayBuffer>;
}

/** Where an indexer's results go. */
export interface GzipIndexerOptions {
  /** A checkpoint is set once more than this many uncompressed bytes lie behind the last one. */
  readonly spanSize: number;
  /** Takes output in order; the view is valid during the call only. */
  readonly onOutput: (chunk: Uint8Array<ArrayBuffer>) => void;
  /**
   * Takes checkpoints in order, each before any output behind it. After empty blocks or members at
   * the very beginning several have `out` 0: the last of them replaces the others.
   */
  readonly onCheckpoint: (checkpoint: Checkpoint) => void;
}

const TRAILER_BYTES = 8;

/** `behind`: the last member is over, and what follows is none: zeros, as tapes and upload tools leave. */
type State = "header" | "body" | "trailer" | "behind";

/** One pass over a gzip file of any number of members. */
export class GzipIndexer {
  readonly #options: GzipIndexerOptions;
  readonly #engine = new Engine();
  #state: State = "header";
  #members = 0;
  /** Compressed bytes before `engine.inBase`. */
  #inBefore = 0;
  /** Uncompressed bytes given to `onOutput`. */
  #outBefore = 0;
  /** Address of the first output byte not yet given to `onOutput`. */
  #outFrom = this.#engine.outStart;
  #lastCheckpoint = 0;
  #crc = 0;
  /** Uncompressed bytes before this member. */
  #memberStart = 0;
  /** Bytes behind the last member that did not go through the engine. */
  #behind = 0;

  /** A pass that has read nothing yet. It has a Wasm memory of its own for as long as it lives. */
  constructor(options: GzipIndexerOptions) {
    this.#options = options;
  }

  /** Reads more bytes; they may be reused after the call. @throws DeflateError */
  push(input: Uint8Array): void {
    const engine = this.#engine;
    for (let from = 0; from < input.length;) {
      if (this.#state === "behind") {
        this.#behind += input.length - from;
        return;
      }
      this.#inBefore += engine.inAt - engine.inBase;
      from += engine.feed(input, from);
      this.#advance();
    }
  }

  /** Ends the stream. @throws DeflateError when it ends too early. */
  finish(): { compressedSize: number; uncompressedSize: number } {
    const left = this.#engine.inEnd - this.#engine.inAt;
    const complete = this.#members > 0 &&
      (this.#state === "behind" ||
        // One byte alone is no member, whatever it is.
        this.#state === "header" && left <= 1);
    if (!complete) {
      throw new DeflateError(
        "truncated",
        this.#offset(),
        "the file ends in the middle of a member",
      );
    }
    this.#flush();
    return {
      compressedSize: this.#offset() + left + this.#behind,
      uncompressedSize: this.#outBefore,
    };
  }

  /** Compressed bytes before the next unread one. */
  #offset(): number {
    return this.#inBefore + this.#engine.inAt - this.#engine.inBase;
  }

  #advance(): void {
    for (;;) {
      const goesOn = this.#state === "header"
        ? this.#header()
        : this.#state === "body"
        ? this.#body()
        : this.#state === "trailer"
        ? this.#trailer()
        : false;
      if (!goesOn) return;
    }
  }

  #header(): boolean {
    const engine = this.#engine;
    const unread = engine.unread();
    if (unread.length === 0) return false;
    if (this.#members > 0 && !mayBeginMember(unread)) {
      engine.inAt = engine.inEnd; // what comes does without the engine
      this.#state = "behind";
      return false;
    }
    const result = parseGzipHeader(unread);
    if (typeof result === "string") {
      throw new DeflateError("header", this.#offset(), result);
    }
    if (result === 0) return false;
    engine.inAt += result;
    engine.start({ primedBits: 0, primed: 0, keepHistory: false });
    this.#members++;
    this.#crc = 0;
    this.#state = "body";
    this.#flush();
    this.#memberStart = this.#outBefore;
    this.#considerCheckpoint();
    return true;
  }

  #body(): boolean {
    const status = this.#engine.run();
    switch (status) {
      case STATUS.NEED_INPUT:
        return false;
      case STATUS.OUT_FULL:
        this.#flush();
        return true;
      case STATUS.BLOCK_END:
        this.#considerCheckpoint();
        return true;
      case STATUS.STREAM_END:
        this.#flush();
        this.#state = "trailer";
        return true;
      default:
        throw new DeflateError("data", this.#offset(), faultText(status));
    }
  }

  #trailer(): boolean {
    const engine = this.#engine;
    const unread = engine.unread();
    if (unread.length < TRAILER_BYTES) return false;
    const view = new DataView(unread.buffer, unread.byteOffset, TRAILER_BYTES);
    const length = this.#outBefore - this.#memberStart;
    if (view.getUint32(0, true) !== (this.#crc >>> 0)) {
      throw new DeflateError("checksum", this.#offset(), "CRC-32 is wrong");
    }
    if (view.getUint32(4, true) !== length % 2 ** 32) {
      throw new DeflateError("checksum", this.#offset(), "length is wrong");
    }
    engine.inAt += TRAILER_BYTES;
    this.#state = "header";
    return true;
  }

  #considerCheckpoint(): void {
    const engine = this.#engine;
    const out = this.#outBefore + engine.outAt - this.#outFrom;
    if (out !== 0 && out - this.#lastCheckpoint <= this.#options.spanSize) {
      return;
    }
    this.#lastCheckpoint = out;
    const at = engine.outAt;
    const window = engine.memory.slice(at - WINDOW_BYTES, at);
    this.#flush();
    this.#options.onCheckpoint({
      in: this.#offset(),
      out,
      bits: engine.bits,
      window,
    });
  }

  /** Gives out what was inflated. Slides only when little room is left, since sliding copies. */
  #flush(): void {
    const engine = this.#engine;
    const end = engine.outAt;
    if (end > this.#outFrom) {
      const chunk = engine.memory.subarray(this.#outFrom, end);
      this.#crc = crc32(chunk, this.#crc);
      this.#outBefore += chunk.length;
      this.#options.onOutput(chunk);
    }
    if (end > engine.outStart + SLIDE_BYTES) {
      engine.slide();
      this.#outFrom = engine.outAt;
    } else this.#outFrom = end;
  }
}

/** Output after which the history is moved to the front. */
const SLIDE_BYTES = 256 * 1024;
