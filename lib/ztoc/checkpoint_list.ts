import { deflateRawSync } from "node:zlib";
import { SpanInflater } from "../deflate/mod.ts";
import {
  CHECKPOINT_BYTES,
  CHECKPOINTS_HEADER_BYTES,
  WINDOW_BYTES,
  writeCheckpoint,
  writeCheckpointsHeader,
  type ZtocCheckpoint,
} from "./checkpoints.ts";
import type { BlobWriter } from "./pass.ts";

/** Windows kept as they are: 8 MiB of them. */
const PLAIN_WINDOWS = 256;

type Kept = Omit<ZtocCheckpoint, "window"> & {
  readonly packed: boolean;
  readonly bytes: Uint8Array;
};

/**
 * The checkpoints of a gzip layer that is being read. Each brings 32 KiB: 80 MB in a layer of 10 GB,
 * needed again only when all is written. So from a certain number on windows are kept deflated, which
 * takes 0.2 ms each, a fiftieth of the time that their span takes.
 */
export class CheckpointList implements BlobWriter {
  readonly #kept: Kept[] = [];

  constructor(
    /** Written into the blob. */
    readonly spanSize: number,
  ) {}

  /** Checkpoints so far. */
  get count(): number {
    return this.#kept.length;
  }

  /** Bytes of the blob. */
  get length(): number {
    return CHECKPOINTS_HEADER_BYTES + this.count * CHECKPOINT_BYTES;
  }

  /** Where the last one stands; null before the first. */
  get last(): { readonly in: number; readonly out: number } | null {
    return this.#kept.at(-1) ?? null;
  }

  /** Adds one; the list keeps its window. */
  add({ in: input, out, bits, window }: ZtocCheckpoint): void {
    const packed = this.count >= PLAIN_WINDOWS;
    this.#kept.push({
      in: input,
      out,
      bits,
      packed,
      bytes: packed
        ? new Uint8Array(deflateRawSync(window, { level: 1 }))
        : window,
    });
  }

  /** Takes the last one back. */
  dropLast(): void {
    this.#kept.pop();
  }

  write(into: Uint8Array<ArrayBuffer>): void {
    writeCheckpointsHeader(into, this.count, this.spanSize);
    // Ours, since the platform's would leave a buffer for each window to the garbage collector.
    const inflater = new SpanInflater();
    const nothing = new Uint8Array(WINDOW_BYTES);
    for (const [i, { packed, bytes, ...place }] of this.#kept.entries()) {
      const window = packed
        ? inflater.inflate(bytes, 0, nothing, WINDOW_BYTES)
        : bytes;
      writeCheckpoint(
        into,
        CHECKPOINTS_HEADER_BYTES + i * CHECKPOINT_BYTES,
        { ...place, window },
      );
    }
  }
}
