import { ZstdError } from "./errors.ts";
import { FRAME_MAGIC } from "./header.ts";

const MAGIC_BYTES = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
/** The low four bits are free. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const RESERVED_BLOCK = 3;

/** Bytes of one frame, in order. */
export interface FramePiece {
  /** A copy; the first piece of a frame is its magic number. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether they are the frame's last. */
  readonly endsFrame: boolean;
  /** Position in the stream after these bytes. */
  readonly end: number;
}

/**
 * What comes next in the stream (RFC 8878, 3.1).
 * ```text
 * magic ─► descriptor ─► header ─► block ─► body ─► block … ─► checksum ─► magic
 *   └────► length ─► skipped ─► magic
 * ```
 */
type Part =
  | "magic"
  | "length"
  | "skipped"
  | "descriptor"
  | "header"
  | "block"
  | "body"
  | "checksum";

/** Follows the structure of frames without decoding them; between them are skippable ones. */
export class FrameWalker {
  #part: Part = "magic";
  /** Bytes of the part that have not arrived yet. */
  #left = 4;
  /** Little-endian value of the bytes of a part that is a number. */
  #value = 0;
  #shift = 0;
  #hasChecksum = false;
  #isLastBlock = false;
  #offset = 0;

  /** Whether the stream may end here. */
  get isBetweenFrames(): boolean {
    return this.#part === "magic" && this.#shift === 0;
  }

  /** Position in the stream: bytes walked so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Cuts bytes into pieces of frames; what is between frames is dropped. */
  *walk(bytes: Uint8Array): Generator<FramePiece> {
    let from = 0; // start of the frame's bytes that were not emitted yet
    let at = 0;
    while (at < bytes.length) {
      const isNumber = this.#part !== "skipped" && this.#part !== "header" &&
        this.#part !== "body" && this.#part !== "checksum";
      const step = isNumber ? 1 : Math.min(this.#left, bytes.length - at);
      if (isNumber) {
        this.#value += bytes[at]! * 2 ** this.#shift;
        this.#shift += 8;
      }
      this.#left -= step;
      this.#offset += step;
      at += step;
      if (this.#left > 0) continue;
      const former = this.#part;
      this.#enter();
      // Parts without bytes are over at once.
      while (this.#left === 0) this.#enter();
      if (this.#part === "descriptor") {
        // Emitted only now: a magic that is split between chunks could be that of a skippable frame.
        yield { bytes: MAGIC_BYTES, endsFrame: false, end: this.#offset };
        from = at;
      }
      if (this.#part !== "magic") continue;
      if (former !== "skipped" && former !== "length") {
        yield {
          bytes: bytes.slice(from, at),
          endsFrame: true,
          end: this.#offset,
        };
      }
      from = at;
    }
    const inFrame = this.#part !== "magic" && this.#part !== "skipped" &&
      this.#part !== "length";
    if (inFrame && from < bytes.length) {
      yield {
        bytes: bytes.slice(from),
        endsFrame: false,
        end: this.#offset,
      };
    }
  }

  /** Goes to the part after the one that is complete. */
  #enter(): void {
    const value = this.#value;
    this.#value = 0;
    this.#shift = 0;
    switch (this.#part) {
      case "magic":
        if (value === FRAME_MAGIC) return this.#next("descriptor", 1);
        if ((value & ~15) >>> 0 === SKIPPABLE_MAGIC) {
          return this.#next("length", 4);
        }
        throw new ZstdError(
          "damaged",
          this.#offset - 4,
          "no frame begins here",
        );
      case "length":
        return this.#next("skipped", value);
      case "descriptor": {
        const isSingleSegment = (value & 0x20) !== 0;
        this.#hasChecksum = (value & 4) !== 0;
        const sizeFlag = value >> 6;
        const sizeBytes = sizeFlag === 0
          ? (isSingleSegment ? 1 : 0)
          : 1 << sizeFlag;
        const dictionaryBytes = [0, 1, 2, 4][value & 3]!;
        const windowBytes = isSingleSegment ? 0 : 1;
        return this.#next("header", windowBytes + dictionaryBytes + sizeBytes);
      }
      case "header":
        return this.#next("block", 3);
      case "block": {
        this.#isLastBlock = (value & 1) !== 0;
        const type = (value >> 1) & 3;
        if (type === RESERVED_BLOCK) {
          throw new ZstdError(
            "damaged",
            this.#offset - 3,
            "unknown block type",
          );
        }
        return this.#next("body", type === 1 ? 1 : value >> 3);
      }
      case "body":
        return this.#isLastBlock
          ? this.#next("checksum", this.#hasChecksum ? 4 : 0)
          : this.#next("block", 3);
      case "skipped":
      case "checksum":
        return this.#next("magic", 4);
    }
  }

  #next(part: Part, length: number): void {
    this.#part = part;
    this.#left = length;
  }
}
