import {
  factsAt,
  type LowerDirectories,
  type LowerDirectory,
} from "./chain_directories.ts";
import { inodeAt, linksOf } from "./find_path.ts";
import { rootPathOf } from "./root_path.ts";
import type { LayerTree } from "./tree.ts";

/** A lower layer of a chain. Its tree is read on first use. */
export class TreeLower implements LowerDirectories {
  readonly #read: () => LayerTree;
  #tree: LayerTree | null = null;

  /** Reads nothing yet. @param read gives the layer's tree; called once. */
  constructor(read: () => LayerTree) {
    this.#read = read;
  }

  /** Looks up a path in the tree; follows links within it. */
  look(path: string): LowerDirectory | "other" | "missing" {
    const tree = this.#tree ??= this.#read();
    const found = rootPathOf(path, linksOf(tree));
    if (found === null) return "other";
    const inode = inodeAt(tree, found);
    if (inode < 0) return "missing";
    if (!tree.isDirectory(inode)) return "other";
    return {
      path: found,
      facts: factsAt(tree, inode),
      kind: tree.factsOf(inode),
    };
  }
}
