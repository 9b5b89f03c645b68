import { BLOCK } from "../../formats/erofs/mod.ts";
import type { LayerTree } from "./tree.ts";

/** Name of the directory at a mount's root that holds each layer's data as one file, by slot. */
export const BLOBS_DIRECTORY = "b";

/** Bytes of a layer's data. */
export function dataBytes(tree: LayerTree): number {
  return tree.spanStarts[tree.spans] as number;
}

/** Bytes of a layer's blob: its data, padded with zeros to a whole block. */
export function blobBytes(dataBytes: number): number {
  return Math.ceil(dataBytes / BLOCK) * BLOCK;
}
