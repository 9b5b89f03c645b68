import type { ProvidedImage, ServedLayer } from "./provider.ts";
import type {
  Labels,
  SnapshotInfo,
  SnapshotKind,
  SnapshotUsage,
} from "./types.ts";

/** A lazily served layer behind a committed snapshot. */
export interface LayerColumns {
  readonly layerDigest: string;
  readonly directory: string;
  /** Where it is served; 0 in the database of a release that did not keep it. */
  readonly slot: number;
  /** The target of its Prepare; usually also its name. */
  readonly chainId: string;
}

/** A snapshot as it is stored. */
export interface SnapshotRow extends SnapshotInfo {
  /** Name of the snapshot's folder; never reused. */
  readonly id: number;
  /** Set for committed snapshots. */
  readonly usage: SnapshotUsage | null;
  /** Set for lazily served ones. */
  readonly layer: LayerColumns | null;
  /** containerd's, of the client that prepared it; null when it named none. */
  readonly namespace: string | null;
}

/** A snapshot to insert. */
export interface NewSnapshot {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly labels: Labels;
  readonly namespace?: string | undefined;
  readonly layer?: LayerColumns & {
    readonly image: ProvidedImage;
    /** The image's layers below, bottom first. */
    readonly below: readonly (ServedLayer | null)[];
  };
}

/** Reads rows for `snapshotRow`. */
export const SELECT_ROW = `
  SELECT s.id, s.name, coalesce(p.name, '') AS parent, s.kind, s.labels, s.created_ms, s.updated_ms, s.created_ns, s.updated_ns,
         s.size_bytes, s.inodes, s.layer_digest, s.layer_directory, s.chain_id,
         s.namespace, s.slot
  FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent_id`;

/** A row that `SELECT_ROW` read. */
export function snapshotRow(row: Record<string, unknown>): SnapshotRow {
  return {
    id: Number(row.id),
    name: String(row.name),
    parent: String(row.parent),
    kind: row.kind as SnapshotKind,
    labels: JSON.parse(String(row.labels)),
    createdAt: { ms: Number(row.created_ms), ns: Number(row.created_ns) },
    updatedAt: { ms: Number(row.updated_ms), ns: Number(row.updated_ns) },
    usage: row.size_bytes === null ? null : {
      sizeBytes: Number(row.size_bytes),
      inodes: Number(row.inodes),
    },
    layer: row.layer_digest === null ? null : {
      layerDigest: String(row.layer_digest),
      directory: String(row.layer_directory),
      slot: Number(row.slot ?? 0),
      chainId: String(row.chain_id),
    },
    namespace: row.namespace === null ? null : String(row.namespace),
  };
}

/** As in containerd, a label with an empty value is no label. */
export function labelsText(labels: Labels): string {
  return JSON.stringify(
    Object.fromEntries(
      Object.entries(labels).filter(([, value]) => value !== ""),
    ),
  );
}
