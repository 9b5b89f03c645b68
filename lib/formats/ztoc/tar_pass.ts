import { type Digest, DigestStream } from "../oci/mod.ts";
import { encodeTarSpans } from "./checkpoints.ts";
import { checkSpanSize } from "./model.ts";
import { type LayerPass, type PassResult, writerOf } from "./pass.ts";

/** What a {@link TarPass} needs. */
export interface TarPassOptions {
  readonly spanSize: number;
  /** Takes the bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/** Cuts an uncompressed layer into spans of equal size. */
export class TarPass implements LayerPass {
  readonly #options: TarPassOptions;
  readonly #digests: Digest[] = [];
  #hash = new DigestStream();
  #size = 0;

  constructor(options: TarPassOptions) {
    this.#options = options;
  }

  push(bytes: Uint8Array): void {
    const { spanSize, onOutput } = this.#options;
    for (let at = 0; at < bytes.length;) {
      const left = spanSize - this.#size % spanSize;
      const piece = bytes.subarray(at, at + left);
      this.#hash.update(piece);
      this.#size += piece.length;
      at += piece.length;
      if (this.#size % spanSize === 0) this.#endSpan();
    }
    onOutput(bytes);
  }

  finish(): PassResult {
    const { spanSize } = this.#options;
    if (this.#size % spanSize !== 0) this.#endSpan();
    if (this.#digests.length > 1) checkSpanSize(0, spanSize);
    const last = Math.max(0, this.#digests.length - 1) * spanSize;
    return {
      compressedSize: this.#size,
      spanDigests: this.#digests,
      lastSpan: { in: last, out: last },
      checkpoints: writerOf(encodeTarSpans({ spanSize, size: this.#size })),
    };
  }

  #endSpan(): void {
    this.#digests.push(this.#hash.finish());
    this.#hash = new DigestStream();
  }
}
