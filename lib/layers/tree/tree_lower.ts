import {
  type DirectoryFacts,
  factsAt,
  type LowerDirectories,
} from "./chain_directories.ts";
import { inodeAt, linksOf } from "./find_path.ts";
import { rootPathOf } from "./root_path.ts";
import type { LayerTree } from "./tree.ts";

/** A layer below a chain's uppermost one, whose tree is read when it is first looked at. */
export class TreeLower implements LowerDirectories {
  readonly #read: () => LayerTree;
  #tree: LayerTree | null = null;

  /** A layer whose tree `read` gives; asked once. */
  constructor(read: () => LayerTree) {
    this.#read = read;
  }

  /** What its tree has at a path; links in it are followed within the tree. */
  look(path: string): DirectoryFacts | "other" | "missing" {
    const tree = this.#tree ??= this.#read();
    const found = rootPathOf(path, linksOf(tree));
    if (found === null) return "other";
    const inode = inodeAt(tree, found);
    if (inode < 0) return "missing";
    return tree.isDirectory(inode) ? factsAt(tree, inode) : "other";
  }
}
