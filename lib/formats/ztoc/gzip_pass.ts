import { type Checkpoint, GzipIndexer } from "../deflate/mod.ts";
import type { Digest } from "../oci/mod.ts";
import { CheckpointList } from "./checkpoint_list.ts";
import { MAX_CHECKPOINTS } from "./checkpoints.ts";
import { ZtocError } from "./errors.ts";
import { checkSpanSize } from "./model.ts";
import type { LayerPass, PassResult } from "./pass.ts";
import { SpanHasher } from "./span_hasher.ts";

/** What a {@link GzipPass} needs. */
export interface GzipPassOptions {
  readonly spanSize: number;
  /** Takes the uncompressed bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/** Inflates a gzip layer and cuts it into spans at its checkpoints. */
export class GzipPass implements LayerPass {
  readonly #indexer: GzipIndexer;
  readonly #hasher = new SpanHasher();
  readonly #checkpoints: CheckpointList;
  readonly #digests: Digest[] = [];

  constructor(options: GzipPassOptions) {
    this.#checkpoints = new CheckpointList(options.spanSize);
    this.#indexer = new GzipIndexer({
      spanSize: options.spanSize,
      onOutput: options.onOutput,
      onCheckpoint: (checkpoint) => this.#takeCheckpoint(checkpoint),
    });
  }

  push(bytes: Uint8Array): void {
    this.#hasher.push(bytes, (piece) => this.#indexer.push(piece));
  }

  finish(): PassResult {
    const { compressedSize } = this.#indexer.finish();
    this.#digests.push(this.#hasher.end(compressedSize));
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
      this.#digests.push(this.#hasher.end(checkpoint.in));
    }
    if (this.#checkpoints.count >= MAX_CHECKPOINTS) {
      throw new ZtocError(
        "too-large",
        -1,
        `over ${MAX_CHECKPOINTS} spans; use a larger span size`,
      );
    }
    this.#checkpoints.add(checkpoint);
    this.#hasher.begin(checkpoint.in - (checkpoint.bits === 0 ? 0 : 1));
  }
}
