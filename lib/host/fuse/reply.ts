import { writeSome } from "../os/mod.ts";
import { MAX_READ_BYTES, OUT_HEADER_BYTES } from "./protocol.ts";

/** Answers reads that a `FuseHandler` deferred, from any thread that holds the descriptor. */
export class DeferredReplies {
  readonly #buffer = new Uint8Array(OUT_HEADER_BYTES + MAX_READ_BYTES);
  readonly #view = new DataView(this.#buffer.buffer);
  /** Where the bytes of the next reply go. */
  readonly payload: Uint8Array<ArrayBuffer> = this.#buffer.subarray(
    OUT_HEADER_BYTES,
  );

  /**
   * Sends the first `result` bytes of `payload`, or, when negative, that error. If the request no longer
   * exists (its process died, or the mount), that is not an error.
   */
  send(fd: number, uniqueLo: number, uniqueHi: number, result: number): void {
    const length = OUT_HEADER_BYTES + Math.max(0, result);
    this.#view.setUint32(0, length, true);
    this.#view.setInt32(4, Math.min(0, result), true);
    this.#view.setUint32(8, uniqueLo, true);
    this.#view.setUint32(12, uniqueHi, true);
    writeSome(fd, this.#buffer, length);
  }
}
