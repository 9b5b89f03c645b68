/** Makes file lists by hand, and reads trees back as plain facts. */
import { type Inode, LayerTree } from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import type { ZtocEntry } from "../../../../lib/formats/ztoc/mod.ts";

const EMPTY = new Uint8Array();
const encoder = new TextEncoder();

/** Bytes of a name given as text or as they are. */
export function bytesOf(name: string | Uint8Array): Uint8Array {
  return typeof name === "string" ? encoder.encode(name) : name;
}

/** One code unit for each byte, so that names of any bytes can be compared. */
export function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** What may be said of an entry. */
export interface EntryFacts {
  readonly name: string | Uint8Array;
  readonly type?: ZtocEntry["type"];
  readonly linkname?: string | Uint8Array;
  readonly offset?: number;
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly modTime?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly xattrs?: Readonly<Record<string, string | Uint8Array>>;
}

/** An entry of a ztoc; what is not said is zero or empty. */
export function entry(facts: EntryFacts): ZtocEntry {
  return {
    name: bytesOf(facts.name),
    type: facts.type ?? "reg",
    offset: facts.offset ?? 512,
    size: facts.size ?? 0,
    linkname: bytesOf(facts.linkname ?? EMPTY),
    mode: facts.mode ?? (facts.type === "dir" ? 0o755 : 0o644),
    uid: facts.uid ?? 0,
    gid: facts.gid ?? 0,
    uname: EMPTY,
    gname: EMPTY,
    modTime: facts.modTime ?? "2020-01-02T03:04:05Z",
    devMajor: facts.devMajor ?? 0,
    devMinor: facts.devMinor ?? 0,
    xattrs: Object.entries(facts.xattrs ?? {}).map(
      ([key, value]) => [bytesOf(key), bytesOf(value)] as const,
    ),
  };
}

/** The tree of a file list. */
export function treeOf(
  entries: readonly EntryFacts[],
  dataSize = 1 << 20,
): LayerTree {
  return new LayerTree(
    compileTree({ entries: entries.map(entry), spanStarts: [0], dataSize }),
  );
}

/** The inode at a path, -1 when there is none. */
export function find(tree: LayerTree, path: string | Uint8Array): Inode {
  let inode = 0;
  for (const part of latin1(bytesOf(path)).split("/")) {
    const name = Uint8Array.from(part, (unit) => unit.charCodeAt(0));
    inode = tree.lookup(inode, name, 0, name.length);
    if (inode < 0) return -1;
  }
  return inode;
}

/** Names in a directory, in the order of the tree. */
export function namesIn(tree: LayerTree, directory: Inode): string[] {
  const first = tree.first[directory] as number;
  return Array.from({ length: tree.count[directory] as number }, (_, i) => {
    const offset = tree.nameOffset[first + i] as number;
    return latin1(
      tree.names.subarray(
        offset,
        offset + (tree.nameLength[first + i] as number),
      ),
    );
  });
}

/** Extended attributes of an inode. */
export function xattrsOf(
  tree: LayerTree,
  inode: Inode,
): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: tree.xattrCount(inode) }, (_, i) => [
      latin1(tree.xattrKey(inode, i)),
      latin1(tree.xattrValue(inode, i)),
    ]),
  );
}
