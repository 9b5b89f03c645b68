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

/** Windows that are deflated together: 4 MiB. A call for each would leave its state as garbage. */
const BATCH = 128;

/**
 * The checkpoints of a gzip layer that is being read. Each brings 32 KiB: 80 MB in a layer of 10 GB,
 * needed again only when all is written. So windows are kept deflated, a batch at a time, which takes
 * a fiftieth of the time that their spans take.
 */
export class CheckpointList implements BlobWriter {
  readonly #places: Omit<ZtocCheckpoint, "window">[] = [];
  readonly #packed: Uint8Array[] = [];
  /** The windows after those, as they are. */
  #plain = new Uint8Array(WINDOW_BYTES);
  #plainCount = 0;

  constructor(
    /** Written into the blob. */
    readonly spanSize: number,
  ) {}

  /** Checkpoints so far. */
  get count(): number {
    return this.#places.length;
  }

  /** Bytes of the blob. */
  get length(): number {
    return CHECKPOINTS_HEADER_BYTES + this.count * CHECKPOINT_BYTES;
  }

  /** Where the last one stands; null before the first. */
  get last(): { readonly in: number; readonly out: number } | null {
    return this.#places.at(-1) ?? null;
  }

  /** Adds one; its window is copied. */
  add({ in: input, out, bits, window }: ZtocCheckpoint): void {
    if (this.#plainCount === BATCH) {
      this.#packed.push(deflateRawSync(this.#plain, { level: 1 }));
      this.#plainCount = 0;
    }
    const start = this.#plainCount++ * WINDOW_BYTES;
    if (start === this.#plain.length) {
      const larger = new Uint8Array(2 * start);
      larger.set(this.#plain);
      this.#plain = larger;
    }
    this.#plain.set(window, start);
    this.#places.push({ in: input, out, bits });
  }

  /** Takes the last one back; not twice in turn. */
  dropLast(): void {
    this.#places.pop();
    this.#plainCount--;
  }

  write(into: Uint8Array<ArrayBuffer>): void {
    writeCheckpointsHeader(into, this.count, this.spanSize);
    let at = 0;
    const writeWindows = (windows: Uint8Array, count: number) => {
      for (let start = 0; start < count * WINDOW_BYTES; start += WINDOW_BYTES) {
        writeCheckpoint(
          into,
          CHECKPOINTS_HEADER_BYTES + at * CHECKPOINT_BYTES,
          {
            ...this.#places[at]!,
            window: windows.subarray(start, start + WINDOW_BYTES),
          },
        );
        at++;
      }
    };
    const inflater = new SpanInflater();
    const nothing = new Uint8Array(WINDOW_BYTES);
    for (const packed of this.#packed) {
      writeWindows(
        inflater.inflate(packed, 0, nothing, BATCH * WINDOW_BYTES),
        BATCH,
      );
    }
    writeWindows(this.#plain, this.#plainCount);
  }
}
