import type { OpenLayer } from "../../layers/serving/mod.ts";
import {
  chainDirectories,
  type ChainDirectory,
  type DirectoryFacts,
  TreeLower,
} from "../../layers/tree/mod.ts";

/** What overlays the layers of an image that is mounted as a whole. */
export interface ImageDirectories {
  /** The root directory's facts, from the uppermost layer that has any. */
  readonly root: DirectoryFacts;
  /** The root with everything that must go above the layers; null if the layers alone are right. */
  readonly above: ChainDirectory | null;
}

const NO_ROOT: DirectoryFacts = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanos: 0,
  xattrs: new Map(),
};

/**
 * Works out the directories that the image needs above its layers.
 * @param layers bottom first.
 * @throws ChainTooLargeError; Error if a tree cannot be read.
 */
export function imageDirectories(
  layers: readonly OpenLayer[],
): ImageDirectories {
  const root = layers.findLast((layer) => layer.root !== null)?.root ?? NO_ROOT;
  if (!layers.some(({ mayInherit }) => mayInherit)) {
    const shown = layers.at(-1)?.root ?? NO_ROOT;
    const above = shown === root
      ? null
      : { name: "", facts: root, children: [] };
    return { root, above };
  }
  const lower: TreeLower[] = [];
  let above: ChainDirectory | null = null;
  for (const layer of layers) {
    const tree = layer.readTree();
    above = chainDirectories(tree, { listed: above, lower, root: "image" });
    lower.unshift(new TreeLower(() => tree));
  }
  return { root, above };
}
