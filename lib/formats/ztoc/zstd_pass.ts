import type { Digest } from "../oci/mod.ts";
import {
  FrameDecoder,
  FrameWalker,
  MAX_FRAMES_OF_SPAN,
  ZstdError,
} from "../zstd/mod.ts";
import { ZtocError } from "./errors.ts";
import { encodeFrameSpans } from "./frame_spans.ts";
import { checkSpanSize, MAX_SPAN_BYTES, MAX_SPANS } from "./model.ts";
import type { LayerPass, PassResult } from "./pass.ts";
import { SpanHasher } from "./span_hasher.ts";

/** What a {@link ZstdPass} needs. */
export interface ZstdPassOptions {
  readonly spanSize: number;
  /** Takes the uncompressed bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/**
 * Decodes a zstd layer and cuts it into spans of whole frames. What is between frames belongs to the
 * span of the frame after it, and what follows the last frame to the last span.
 */
export class ZstdPass implements LayerPass {
  readonly #options: ZstdPassOptions;
  readonly #walker = new FrameWalker();
  readonly #decoder = new FrameDecoder(MAX_SPAN_BYTES);
  readonly #hasher = new SpanHasher();
  readonly #starts: { readonly in: number; readonly out: number }[] = [];
  readonly #digests: Digest[] = [];
  #out = 0;
  /** Frames that hold something. */
  #frames = 0;
  #framesOfSpan = 0;

  constructor(options: ZstdPassOptions) {
    this.#options = options;
    this.#begin(0);
  }

  push(bytes: Uint8Array): void {
    this.#hasher.push(bytes, (piece) => {
      for (const part of this.#walker.walk(piece)) {
        const content = this.#decoder.push(part);
        if (content !== null) this.#take(content, part.end);
      }
    });
  }

  finish(): PassResult {
    const compressedSize = this.#walker.offset;
    if (!this.#walker.isBetweenFrames) {
      throw new ZstdError("damaged", compressedSize, "it ends in a frame");
    }
    if (this.#frames < 2) {
      throw new ZstdError("not-seekable", 0, "it is one frame");
    }
    const last = this.#starts.at(-1)!;
    if (last.in === compressedSize) this.#starts.pop();
    else this.#digests.push(this.#hasher.endSpan(compressedSize));
    return {
      compressedSize,
      spanDigests: this.#digests,
      checkpoints: encodeFrameSpans({
        spanSize: this.#options.spanSize,
        starts: this.#starts,
      }),
      lastSpan: this.#starts.at(-1)!,
    };
  }

  #begin(at: number): void {
    if (this.#starts.length >= MAX_SPANS) {
      throw new ZtocError(
        "too-large",
        -1,
        `over ${MAX_SPANS} spans; use a larger span size`,
      );
    }
    this.#starts.push({ in: at, out: this.#out });
    this.#framesOfSpan = 0;
    this.#hasher.begin(at);
  }

  #take(content: Uint8Array, end: number): void {
    this.#framesOfSpan++;
    if (content.length > 0) {
      this.#frames++;
      this.#options.onOutput(content);
      this.#out += content.length;
    }
    const start = this.#starts.at(-1)!;
    const isLong = this.#out - start.out >= this.#options.spanSize;
    if (!isLong && this.#framesOfSpan < MAX_FRAMES_OF_SPAN) return;
    if (this.#out === start.out) {
      throw new ZstdError(
        "too-large",
        end,
        "too many frames that hold nothing",
      );
    }
    const span = this.#starts.length - 1;
    checkSpanSize(span, end - start.in);
    checkSpanSize(span, this.#out - start.out);
    this.#digests.push(this.#hasher.endSpan(end));
    this.#begin(end);
  }
}
