/** Bytes before each gRPC message: whether it is compressed, and its length. */
export const GRPC_PREFIX_BYTES = 5;

/** containerd's own limit for one message. */
const MAX_MESSAGE_BYTES = 16 * 2 ** 20;
/** Of the message `ReadContentResponse`: field and wire type. */
const TAG = { OFFSET: 1 << 3 | 0, DATA: 2 << 3 | 2 } as const;
/** The most bytes of a number of 64 bits. */
const MAX_VARINT_BYTES = 10;

/**
 * What comes next. A message is a list of fields, each with a tag.
 * ```text
 * prefix ─► tag ─► offset ─► tag …         (tag: while the message is not over; then prefix)
 *            └───► length ─► data ─► tag …
 * ```
 */
type Part = "prefix" | "tag" | "offset" | "length" | "data";

/** Takes the data out of a stream of the content service's answers, wherever that is cut. */
export class ReadAnswers {
  #part: Part = "prefix";
  /** Bytes of the part so far: of the prefix, or of a number. */
  #seen = 0;
  #value = 0;
  /** Bytes of the message that have not come yet. */
  #left = 0;
  #data: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #filled = 0;

  /**
   * Takes the next bytes.
   * @returns the data of messages that are now complete, each in a buffer of its own.
   * @throws Error when they are anything else than such answers.
   */
  push(bytes: Uint8Array): Uint8Array<ArrayBuffer>[] {
    const complete: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0; at < bytes.length;) {
      if (this.#part === "data") {
        const part = bytes.subarray(at, at + this.#data.length - this.#filled);
        this.#data.set(part, this.#filled);
        this.#filled += part.length;
        this.#left -= part.length;
        at += part.length;
        if (this.#filled < this.#data.length) break;
        complete.push(this.#data);
        this.#next(this.#left > 0 ? "tag" : "prefix");
      } else if (this.#part === "prefix") this.#prefix(bytes[at++]!);
      else this.#number(bytes[at++]!);
    }
    return complete;
  }

  #next(part: Part): void {
    this.#part = part;
    this.#seen = 0;
    this.#value = 0;
  }

  #prefix(byte: number): void {
    if (this.#seen === 0 && byte !== 0) throw new Error("it is compressed");
    this.#value = this.#value * 256 + byte;
    if (++this.#seen < GRPC_PREFIX_BYTES) return;
    if (this.#value > MAX_MESSAGE_BYTES) {
      throw new Error(`a message of ${this.#value} bytes`);
    }
    this.#left = this.#value;
    this.#next(this.#left > 0 ? "tag" : "prefix");
  }

  #number(byte: number): void {
    this.#left--;
    this.#value += (byte & 0x7f) * 2 ** (7 * this.#seen);
    if (++this.#seen > MAX_VARINT_BYTES) throw new Error("no number");
    const goesOn = (byte & 0x80) !== 0;
    if (this.#left === 0 && (goesOn || this.#part === "tag")) {
      throw new Error("a message that breaks off");
    }
    if (goesOn) return;
    if (this.#part === "length") return this.#begin(this.#value);
    if (this.#part === "offset") {
      return this.#next(this.#left > 0 ? "tag" : "prefix");
    }
    if (this.#value === TAG.DATA) return this.#next("length");
    if (this.#value === TAG.OFFSET) return this.#next("offset");
    throw new Error(`field ${this.#value}`);
  }

  #begin(length: number): void {
    if (length > this.#left) throw new Error("data that is not there");
    if (length === 0) return this.#next(this.#left > 0 ? "tag" : "prefix");
    this.#data = new Uint8Array(length);
    this.#filled = 0;
    this.#next("data");
  }
}
