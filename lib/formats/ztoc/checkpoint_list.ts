import { WINDOW_BYTES } from "../deflate/mod.ts";
import {
  CHECKPOINT_BYTES,
  CHECKPOINTS_HEADER_BYTES,
  MAX_CHECKPOINTS,
  writeCheckpoint,
  writeCheckpointsHeader,
  type ZtocCheckpoint,
} from "./checkpoints.ts";
import type { BlobWriter } from "./pass.ts";

/** Windows whose room is taken and given back together: 1 MiB. */
const STEP = 32;

/**
 * The checkpoints of a gzip layer that is being read. Each brings 32 KiB: 80 MB in a layer of 10 GB.
 * Their windows lie in a buffer that grows in place. While the blob is written, from its end, the
 * buffer's end is returned to the system, so that the windows never take their memory twice.
 */
export class CheckpointList implements BlobWriter {
  readonly #places: Omit<ZtocCheckpoint, "window">[] = [];
  /** Address space for the maximum; memory only for windows that exist. */
  readonly #windows = new ArrayBuffer(0, {
    maxByteLength: MAX_CHECKPOINTS * WINDOW_BYTES,
  });

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

  /** Adds one, of `MAX_CHECKPOINTS` at most; its window is copied. */
  add({ in: input, out, bits, window }: ZtocCheckpoint): void {
    this.#makeRoom(this.count + 1);
    new Uint8Array(this.#windows).set(window, this.count * WINDOW_BYTES);
    this.#places.push({ in: input, out, bits });
  }

  /** Zeroes what is not used of a checkpoint's window. @param used by place, 1 where it is. */
  thin(number: number, used: Uint8Array): void {
    const window = new Uint8Array(
      this.#windows,
      number * WINDOW_BYTES,
      WINDOW_BYTES,
    );
    for (let at = 0; at < WINDOW_BYTES; at++) window[at]! *= used[at]!;
  }

  /** Takes the last one back. */
  dropLast(): void {
    this.#places.pop();
  }

  /** See `BlobWriter`. Call it only once, because it frees the windows as it goes. */
  write(into: Uint8Array<ArrayBuffer>): void {
    writeCheckpointsHeader(into, this.count, this.spanSize);
    for (let at = this.count - 1; at >= 0; at--) {
      writeCheckpoint(into, CHECKPOINTS_HEADER_BYTES + at * CHECKPOINT_BYTES, {
        ...this.#places[at]!,
        window: new Uint8Array(
          this.#windows,
          at * WINDOW_BYTES,
          WINDOW_BYTES,
        ),
      });
      this.#makeRoom(at);
    }
  }

  /** Room for so many windows, and not for many more. */
  #makeRoom(count: number): void {
    const bytes = Math.min(
      Math.ceil(count / STEP) * STEP * WINDOW_BYTES,
      this.#windows.maxByteLength,
    );
    if (bytes !== this.#windows.byteLength) this.#windows.resize(bytes);
  }
}
