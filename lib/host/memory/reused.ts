import { freeBuffer } from "./collect.ts";

/**
 * Blocks of memory of one size that are used again. The kernel gives memory that was never touched page by page: that
 * takes longer than what a download does with its bytes. In a block is what was in it before.
 */
export class ReusedBlocks implements Disposable {
  readonly #blockBytes: number;
  readonly #spare: ArrayBuffer[] = [];
  #most: number;

  /**
   * Makes none yet.
   * @param blockBytes of each.
   * @param most that are kept while nobody uses them.
   */
  constructor(blockBytes: number, most: number) {
    this.#blockBytes = blockBytes;
    this.#most = most;
  }

  /** Memory for so many bytes, the caller's. More than fit into a block are not of one. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const block = bytes > this.#blockBytes
      ? new ArrayBuffer(bytes)
      : this.#spare.pop() ?? new ArrayBuffer(this.#blockBytes);
    return new Uint8Array(block, 0, bytes);
  }

  /** Takes memory that nobody uses any more. What is not of a block is freed. */
  give({ buffer }: Uint8Array): void {
    if (!(buffer instanceof ArrayBuffer)) return; // shared: none of ours
    const isBlock = buffer.byteLength === this.#blockBytes;
    if (isBlock && this.#spare.length < this.#most) this.#spare.push(buffer);
    else freeBuffer(buffer);
  }

  /** Frees what nobody uses. @param most blocks that are left. Default: none. */
  trim(most = 0): void {
    for (const block of this.#spare.splice(most)) freeBuffer(block);
  }

  /** Frees what nobody uses; what is given from here on, too. */
  [Symbol.dispose](): void {
    this.#most = 0;
    this.trim();
  }
}
