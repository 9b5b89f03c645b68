import { BLOCK } from "../../formats/erofs/mod.ts";

/** The directory at a mount's root that holds one file per slot: the layer's data. */
export const BLOBS_DIRECTORY = "b";

/** The size of a layer's data, bytes. */
export function dataBytes(
  tree: { readonly spanStarts: Float64Array; readonly spans: number },
): number {
  return tree.spanStarts[tree.spans] as number;
}

/** The size of a layer's blob, bytes: its data, padded with zeros to a whole block. */
export function blobBytes(dataBytes: number): number {
  return Math.ceil(dataBytes / BLOCK) * BLOCK;
}
