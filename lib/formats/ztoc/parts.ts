import { WINDOW_BYTES } from "../deflate/mod.ts";
import {
  CHECKPOINT_BYTES,
  CHECKPOINTS_HEADER_BYTES,
  decodeCheckpoints,
} from "./checkpoints.ts";
import { openZtoc } from "./decode.ts";
import { ZtocError } from "./errors.ts";

/** Where a checkpoint's window begins in it. */
const WINDOW_AT = CHECKPOINT_BYTES - WINDOW_BYTES;

/**
 * A ztoc in two parts: what a mount needs of it, and what only readers of the layer's own bytes need.
 * Each window is 32 KiB, so the second part is most of the ztoc.
 */
export interface ZtocParts {
  /** The ztoc with zeros in place of the windows: it is as long, and reads as a ztoc. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** The windows, one behind the other. */
  readonly windows: Uint8Array<ArrayBuffer>;
}

/**
 * Where the windows of a ztoc begin in it; none where its layer is not gzip.
 * @throws ZtocError
 */
function windowPlaces(ztoc: Uint8Array): number[] {
  const { compression, checkpoints } = openZtoc(ztoc);
  if (compression !== "gzip") return [];
  decodeCheckpoints(checkpoints); // for its checks
  const first = checkpoints.byteOffset - ztoc.byteOffset +
    CHECKPOINTS_HEADER_BYTES + WINDOW_AT;
  const stored = (checkpoints.length - CHECKPOINTS_HEADER_BYTES) /
    CHECKPOINT_BYTES;
  return Array.from({ length: stored }, (_, i) => first + i * CHECKPOINT_BYTES);
}

/** Bytes of the windows that belong to a head. @throws ZtocError */
export function windowBytes(head: Uint8Array): number {
  return windowPlaces(head).length * WINDOW_BYTES;
}

/** Takes a ztoc apart. @throws ZtocError */
export function splitZtoc(ztoc: Uint8Array): ZtocParts {
  const places = windowPlaces(ztoc);
  const head = new Uint8Array(ztoc);
  const windows = new Uint8Array(places.length * WINDOW_BYTES);
  places.forEach((at, i) => {
    windows.set(ztoc.subarray(at, at + WINDOW_BYTES), i * WINDOW_BYTES);
    head.fill(0, at, at + WINDOW_BYTES);
  });
  return { head, windows };
}

/**
 * Puts windows where a head has none: the head is the ztoc then, if both are what they are said to be.
 * Only its digest tells.
 * @throws ZtocError when they do not fit
 */
export function joinZtoc(head: Uint8Array, windows: Uint8Array): void {
  const places = windowPlaces(head);
  if (windows.length !== places.length * WINDOW_BYTES) {
    throw new ZtocError(
      "count",
      -1,
      `${windows.length} bytes of windows for ${places.length} checkpoints`,
    );
  }
  places.forEach((at, i) =>
    head.set(windows.subarray(i * WINDOW_BYTES, (i + 1) * WINDOW_BYTES), at)
  );
}
