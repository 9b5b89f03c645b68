import { decodeCheckpoints } from "./checkpoints.ts";
import type { ZtocHead } from "./model.ts";
import { type LayerPass, type PassResult, writerOf } from "./pass.ts";

/** What a {@link KnownPass} needs. */
export interface KnownPassOptions {
  /** Of a gzip layer whose bytes were inflated from these places, and have these digests. */
  readonly known: ZtocHead;
  /** Takes the bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/** Takes the tar of a layer that somebody else inflated, and leaves the spans as they are known. */
export class KnownPass implements LayerPass {
  readonly #options: KnownPassOptions;

  constructor(options: KnownPassOptions) {
    this.#options = options;
  }

  push(bytes: Uint8Array): void {
    this.#options.onOutput(bytes);
  }

  /** @throws ZtocError */
  finish(): PassResult {
    const { compressedSize, spanDigests, checkpoints } = this.#options.known;
    const last = decodeCheckpoints(checkpoints).checkpoints.at(-1)!;
    return {
      ...{ compressedSize, spanDigests },
      lastSpan: { in: last.in, out: last.out },
      checkpoints: writerOf(checkpoints),
    };
  }
}
