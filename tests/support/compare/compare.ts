import type { TreeEntry } from "./tree.ts";

/** One fact in which two trees differ; a missing entry has the field `entry`. */
export interface Difference {
  readonly path: string;
  readonly field: string;
  readonly left: string;
  readonly right: string;
}

/** A fact of an entry that can be left out of a comparison. */
export type ComparedField =
  | "type"
  | "mode"
  | "uid"
  | "gid"
  | "sizeBytes"
  | "mtimeNs"
  | "nlink"
  | "links"
  | "xattrs"
  | "device"
  | "target"
  | "sha256";

const FIELDS: readonly ComparedField[] = [
  "type",
  "mode",
  "uid",
  "gid",
  "sizeBytes",
  "mtimeNs",
  "nlink",
  "links",
  "xattrs",
  "device",
  "target",
  "sha256",
];

/**
 * Every difference between two trees. `links` are the other names of the same inode within the
 * tree: inode numbers themselves may differ.
 */
export function compareTrees(
  left: readonly TreeEntry[],
  right: readonly TreeEntry[],
  options: { ignore?: readonly ComparedField[] } = {},
): Difference[] {
  const fields = FIELDS.filter((field) => !options.ignore?.includes(field));
  const leftFacts = factsOf(left);
  const rightFacts = factsOf(right);
  const differences: Difference[] = [];
  for (const path of new Set([...leftFacts.keys(), ...rightFacts.keys()])) {
    const a = leftFacts.get(path);
    const b = rightFacts.get(path);
    if (a === undefined || b === undefined) {
      differences.push({
        path,
        field: "entry",
        left: a?.type ?? "missing",
        right: b?.type ?? "missing",
      });
      continue;
    }
    for (const field of fields) {
      if (a[field] !== b[field]) {
        differences.push({ path, field, left: a[field], right: b[field] });
      }
    }
  }
  return differences;
}

type Facts = Record<ComparedField, string>;

function factsOf(tree: readonly TreeEntry[]): Map<string, Facts> {
  const names = new Map<string, string[]>();
  for (const { inode, path, type } of tree) {
    if (type === "dir") continue;
    const known = names.get(inode);
    if (known === undefined) names.set(inode, [path]);
    else known.push(path);
  }
  return new Map(tree.map((entry) => [entry.path, {
    type: entry.type,
    mode: entry.mode.toString(8),
    uid: String(entry.uid),
    gid: String(entry.gid),
    sizeBytes: String(entry.sizeBytes),
    mtimeNs: String(entry.mtimeNs),
    nlink: String(entry.nlink),
    links: names.get(entry.inode)?.filter((path) => path !== entry.path)
      .join(" ") ?? "",
    xattrs: JSON.stringify(entry.xattrs),
    device: entry.device ?? "",
    target: entry.target ?? "",
    sha256: entry.sha256 ?? "",
  }]));
}
