/** What the main isolate and the Worker that hashes whole layers say to each other. @module */
import type { LayerTail } from "./whole.ts";

/** First the file, then maybe what comes behind it. */
export type WholeLayerQuestion =
  | {
    readonly kind: "file";
    readonly path: string;
    readonly sizeBytes: number;
  }
  | { readonly kind: "tail"; readonly tail: LayerTail };

/** The digest of all that was told so far, or why there is none. */
export interface WholeLayerResult {
  readonly digest: string | null;
  readonly error: string | null;
}
