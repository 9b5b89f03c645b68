import {
  type Checkpoint,
  GzipIndexer,
  WINDOW_BYTES,
  WINDOW_USE_BYTES,
  WindowUse,
} from "../deflate/mod.ts";
import type { Digest } from "../oci/mod.ts";
import { CheckpointList } from "./checkpoint_list.ts";
import { MAX_CHECKPOINTS } from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { checkSpanSize } from "./model.ts";
import type { LayerPass, PassResult } from "./pass.ts";
import { SpanHasher } from "./span_hasher.ts";

/**
 * What of the windows is kept: all, as the existing tools do, or only the bytes that the stream behind a checkpoint
 * copies, with zeros for the rest. Whoever inflates from there gets the same either way, and the second kind takes a
 * sixth of the bytes once it is compressed.
 */
export type WindowBytes = "all" | "used";

/** What a {@link GzipPass} needs. */
export interface GzipPassOptions {
  readonly spanSize: number;
  readonly windows: WindowBytes;
  /** Takes the uncompressed bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/** Inflates a gzip layer and cuts it into spans at its checkpoints. */
export class GzipPass implements LayerPass {
  readonly #indexer: GzipIndexer;
  readonly #hasher = new SpanHasher();
  readonly #checkpoints: CheckpointList;
  readonly #digests: Digest[] = [];
  /** Null where windows are kept whole. */
  readonly #use: WindowUse | null;
  /** Checkpoints whose windows are whole as yet: what follows them has not come. At most one, or spans are small. */
  readonly #whole: { number: number; start: number; bits: number }[] = [];

  constructor(options: GzipPassOptions) {
    this.#checkpoints = new CheckpointList(options.spanSize);
    // Smaller spans end before it can be told; and who makes such does not mind the windows.
    this.#use = options.windows === "used" && options.spanSize >= WINDOW_BYTES
      ? new WindowUse()
      : null;
    this.#indexer = new GzipIndexer({
      spanSize: options.spanSize,
      onOutput: options.onOutput,
      onCheckpoint: (checkpoint) => this.#takeCheckpoint(checkpoint),
    });
  }

  push(bytes: Uint8Array): void {
    this.#hasher.push(bytes, (piece) => {
      this.#indexer.push(piece);
      this.#thin("some");
    });
  }

  finish(): PassResult {
    const { compressedSize } = this.#indexer.finish();
    this.#thin("all");
    this.#digests.push(this.#hasher.endSpan(compressedSize));
    return {
      compressedSize,
      spanDigests: this.#digests,
      checkpoints: this.#checkpoints,
      lastSpan: this.#checkpoints.last ?? { in: 0, out: 0 },
    };
  }

  #takeCheckpoint(checkpoint: Checkpoint): void {
    const { last, count } = this.#checkpoints;
    if (last?.out === checkpoint.out) {
      // After empty blocks and members at the beginning: the span before it would hold nothing.
      this.#checkpoints.dropLast();
    } else if (last !== null) {
      checkSpanSize(count - 1, checkpoint.in - last.in);
      checkSpanSize(count - 1, checkpoint.out - last.out);
      this.#digests.push(this.#hasher.endSpan(checkpoint.in));
    }
    if (this.#checkpoints.count >= MAX_CHECKPOINTS) {
      throw new ZtocError(
        "too-large",
        -1,
        `over ${MAX_CHECKPOINTS} spans; use a larger span size`,
      );
    }
    this.#checkpoints.add(checkpoint);
    const { bits, out } = checkpoint;
    const start = checkpoint.in - (bits === 0 ? 0 : 1);
    this.#hasher.begin(start);
    if (this.#use !== null && out > 0) {
      this.#whole.push({ number: this.#checkpoints.count - 1, start, bits });
    }
  }

  /** Thins the windows of checkpoints behind which enough has come. @param come of the layer. */
  #thin(come: "some" | "all"): void {
    while (this.#whole.length > 0) {
      const { number, start, bits } = this.#whole[0]!;
      const behind = this.#hasher.since(start);
      if (come === "some" && behind.length < WINDOW_USE_BYTES) return;
      this.#whole.shift();
      const used = this.#use!.of(behind, bits, come);
      if (used !== null) this.#checkpoints.thin(number, used);
    }
  }
}
