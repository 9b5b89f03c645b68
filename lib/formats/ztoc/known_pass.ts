import { WINDOW_BYTES } from "../deflate/mod.ts";
import type { Digest } from "../oci/mod.ts";
import {
  CHECKPOINT_BYTES,
  CHECKPOINTS_HEADER_BYTES,
  writeCheckpoint,
  writeCheckpointsHeader,
} from "./checkpoints.ts";
import { checkSpanSize } from "./model.ts";
import type { BlobWriter, LayerPass, PassResult } from "./pass.ts";

/** Spans of a gzip layer that somebody else inflates. */
export interface KnownSpans {
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Of each span: offset in the blob of the first whole byte. */
  readonly inputs: Float64Array;
  /** Of each span: offset in the tar. */
  readonly outputs: Float64Array;
  /** Of each span: how many high bits of the byte before belong here too. */
  readonly bits: Uint8Array;
  /** Digests of their bytes in the blob, once all of them are inflated. */
  readonly digests: () => readonly Digest[];
  /**
   * Fills `into`, which is zeros, with the window that a span was inflated with. No other one will do: nothing says
   * that the same comes of that place with the bytes that are before it in the tar.
   */
  readonly window: (span: number, into: Uint8Array<ArrayBuffer>) => void;
}

/** What a {@link KnownPass} needs. */
export interface KnownPassOptions {
  readonly known: KnownSpans;
  /** Written into the ztoc. */
  readonly spanSize: number;
  /** Takes the bytes; valid during the call. */
  readonly onOutput: (bytes: Uint8Array) => void;
}

/** Takes the tar of a layer that somebody else inflates, and leaves the spans as they are known. */
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
    const { known, spanSize } = this.#options;
    const { compressedSize, inputs, outputs } = known;
    const last = inputs.length - 1;
    for (let span = 0; span < last; span++) {
      checkSpanSize(span, inputs[span + 1]! - inputs[span]!);
      checkSpanSize(span, outputs[span + 1]! - outputs[span]!);
    }
    return {
      ...{ compressedSize, spanDigests: known.digests() },
      lastSpan: { in: inputs[last]!, out: outputs[last]! },
      checkpoints: checkpointsOf(known, spanSize),
    };
  }
}

/** Their windows are read as they are written: they are never all in memory by themselves. */
function checkpointsOf(
  { inputs, outputs, bits, window: fill }: KnownSpans,
  spanSize: number,
): BlobWriter {
  const count = inputs.length;
  return {
    length: CHECKPOINTS_HEADER_BYTES + count * CHECKPOINT_BYTES,
    write(into) {
      writeCheckpointsHeader(into, count, spanSize);
      for (let span = 0; span < count; span++) {
        const out = outputs[span]!;
        const window = new Uint8Array(WINDOW_BYTES);
        fill(span, window);
        writeCheckpoint(
          into,
          CHECKPOINTS_HEADER_BYTES + span * CHECKPOINT_BYTES,
          { in: inputs[span]!, out, bits: bits[span]!, window },
        );
      }
    },
  };
}
