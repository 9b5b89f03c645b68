import {
  type BoltBucket,
  BoltError,
  boltRoot,
} from "../../formats/bolt/mod.ts";
import { FileError, readIfThere, statIfThere } from "../../host/files/mod.ts";
import { TARGET_LABEL } from "../../remote/containerd_words/mod.ts";
import { CRI_LABELS } from "../../remote/image/mod.ts";
import {
  isOfOtherDaemon,
  NAMESPACE_LABEL,
  type SnapshotKind,
  Snapshotter,
} from "../snapshotter/mod.ts";

/** Whose state lies below a root. */
export type StateOwner = "existing daemon" | "soci-deno";

/** A snapshot as a daemon's table has it. */
export interface OldSnapshot {
  /** What containerd calls it: a chain ID, or a container's key. */
  readonly key: string;
  /** What containerd calls its parent; empty when it has none. */
  readonly parent: string;
  /** containerd's namespace; null where the table does not say. */
  readonly namespace: string | null;
  /** What it is for. */
  readonly kind: SnapshotKind;
  /** The image whose layer it is; null where the table does not say. */
  readonly image: string | null;
}

/** What lies below a root. */
export interface OldState {
  /** Whose it is. */
  readonly owner: StateOwner;
  /** Those on which others are built come first. */
  readonly snapshots: readonly OldSnapshot[];
}

/** Kinds as containerd numbers them. */
const KINDS: Readonly<Record<number, SnapshotKind>> = {
  1: "view",
  2: "active",
  3: "committed",
};

/**
 * Whose snapshots lie below a root, and which; null when there are none. No process may serve the root.
 * @throws FileError; SnapshotterSetupError for a table that this release cannot read
 */
export function oldState(root: string): OldState | null {
  const path = `${root}/snapshotter/metadata.db`;
  if (statIfThere(path) === null) return null;
  if (isOfOtherDaemon(path)) {
    const snapshots = inOrder(snapshotsOfExisting(path));
    return { owner: "existing daemon", snapshots };
  }
  const rows = Snapshotter.snapshotsBelow(root);
  return { owner: "soci-deno", snapshots: inOrder(rows) };
}

/** A row of either table. */
interface Row {
  readonly name: string;
  /** Name of the parent; empty when there is none. */
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly labels: Readonly<Record<string, string>>;
}

/** The existing daemon's table: containerd's `storage.MetaStore`. */
function snapshotsOfExisting(path: string): Row[] {
  const bytes = readIfThere(path);
  if (bytes === null) return [];
  try {
    const table = boltRoot(bytes).bucket("v1")?.bucket("snapshots");
    return table == null ? [] : [...rowsOf(table)];
  } catch (cause) {
    if (!(cause instanceof BoltError)) throw cause;
    throw new FileError("read", path, cause);
  }
}

function* rowsOf(table: BoltBucket): Generator<Row> {
  const text = (bytes: Uint8Array | undefined) =>
    new TextDecoder().decode(bytes ?? new Uint8Array());
  for (const entry of table.entries()) {
    if (!("bucket" in entry)) continue;
    const values = entry.bucket.values();
    const labels = [...entry.bucket.bucket("labels")?.values() ?? []];
    yield {
      name: entry.key,
      parent: text(values.get("parent")),
      kind: KINDS[values.get("kind")?.[0] ?? 0] ?? "active",
      labels: Object.fromEntries(
        labels.map(([label, value]) => [label, text(value)]),
      ),
    };
  }
}

/** containerd's key for a snapshot is `namespace/number/key`; those that were never asked for by key have its own name. */
const KEY = /^([^/]+)\/[0-9]+\/(.+)$/s;

function inOrder(rows: readonly Row[]): OldSnapshot[] {
  const byName = new Map(rows.map((row) => [row.name, row]));
  const depths = new Map<string, number>();
  const depthOf = (row: Row): number => {
    const known = depths.get(row.name);
    if (known !== undefined) return known;
    depths.set(row.name, 0); // a circle ends here
    const parent = byName.get(row.parent);
    const depth = parent === undefined ? 0 : depthOf(parent) + 1;
    depths.set(row.name, depth);
    return depth;
  };
  const keyOf = ({ name, labels }: Row) =>
    KEY.exec(name)?.[2] ?? labels[TARGET_LABEL] ?? name;
  return rows.toSorted((a, b) => depthOf(a) - depthOf(b)).map((row) => {
    const { name, parent, kind, labels } = row;
    const below = byName.get(parent);
    return {
      key: keyOf(row),
      parent: below === undefined ? parent : keyOf(below),
      namespace: KEY.exec(name)?.[1] ?? labels[NAMESPACE_LABEL] ?? null,
      kind,
      image: labels[CRI_LABELS.imageRef] ?? null,
    };
  });
}
