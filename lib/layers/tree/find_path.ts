import { bytesOf } from "./entry_path.ts";
import { S } from "./modes.ts";
import { type ReadLink, rootPath } from "./root_path.ts";
import type { Inode, LayerTree } from "./tree.ts";

/** Reads the links of a tree; see `rootPath`. */
export function linksOf(tree: LayerTree): ReadLink {
  return (path) => {
    const inode = inodeAt(tree, path);
    return inode >= 0 && ((tree.mode[inode] as number) & S.IFMT) === S.IFLNK
      ? String.fromCharCode(...tree.target(inode))
      : null;
  };
}

/**
 * The inode at a path, given as a string with one character per byte. Follows links on the way, but
 * not in the last component.
 * @returns -1 if there is none.
 * @throws TooManyLinksError
 */
export function findPath(tree: LayerTree, path: string): Inode {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return inodeAt(tree, path);
  const directory = rootPath(path.slice(0, slash + 1), linksOf(tree));
  return inodeAt(tree, `${directory}/${path.slice(slash + 1)}`);
}

/** The inode at a path without links and dots; -1 if there is none. */
export function inodeAt(tree: LayerTree, path: string): Inode {
  let inode: Inode = 0;
  for (const part of path.split("/")) {
    if (part === "") continue;
    if (!tree.isDirectory(inode)) return -1;
    const name = bytesOf(part);
    inode = tree.lookup(inode, name, 0, name.length);
    if (inode < 0) return -1;
  }
  return inode;
}
