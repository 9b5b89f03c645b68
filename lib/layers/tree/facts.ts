import {
  type DirectoryFacts,
  factsAt,
  mayInherit,
} from "./chain_directories.ts";
import { DIRECTORY } from "./format.ts";
import type { LayerTree } from "./tree.ts";

/**
 * What stays in memory of a tree while its layer is served. Plain data: it can be sent to another
 * isolate.
 */
export interface TreeFacts {
  /** Files, directories and all else. */
  readonly inodes: number;
  /** How many spans the layer has. */
  readonly spans: number;
  /** Whether any inode has extended attributes. */
  readonly hasXattrs: boolean;
  /** Whether a chain may need directories of its own because of this layer; see `chainDirectories`. */
  readonly mayInherit: boolean;
  /** What its archive says of the root directory; null when nothing. */
  readonly root: DirectoryFacts | null;
  /** Data offset of each span, then the data's size. */
  readonly spanStarts: Float64Array<ArrayBuffer>;
  /** CRC-32 of the whole: tells trees apart. */
  readonly checksum: number;
}

/** The facts of a tree, apart from its memory. */
export function treeFacts(tree: LayerTree): TreeFacts {
  return {
    inodes: tree.inodes,
    spans: tree.spans,
    hasXattrs: tree.hasXattrs,
    mayInherit: mayInherit(tree),
    root: tree.factsOf(0) === DIRECTORY.own ? factsAt(tree, 0) : null,
    spanStarts: tree.spanStarts.slice(),
    checksum: tree.checksum,
  };
}
