/**
 * `active`: writable, waits for a commit. `view`: read-only, never committed. `committed`: never
 * changes again and can be a parent.
 */
export type SnapshotKind = "active" | "view" | "committed";

/** Labels as containerd gives them. */
export type Labels = Readonly<Record<string, string>>;

/** What is known about a snapshot. */
export interface SnapshotInfo {
  /** The key of an active snapshot or view; the name of a committed one. */
  readonly name: string;
  /** Name of the parent; empty when there is none. */
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly labels: Labels;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** Disk that a snapshot alone takes, without its parents. */
export interface SnapshotUsage {
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** Who owns the root directory of a snapshot. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A mount for the caller to perform. */
export interface MountSpec {
  readonly type: "bind" | "overlay";
  readonly source: string;
  readonly options: readonly string[];
}

/** Label of `Prepare`: the name (chain ID) under which the caller will commit what it unpacks. */
export const TARGET_LABEL = "containerd.io/snapshot.ref";
/** Marks a committed snapshot whose files are served lazily. */
export const REMOTE_LABEL = "containerd.io/snapshot/remote";
/** The containerd namespace a lazy layer was first prepared in. */
export const NAMESPACE_LABEL = "containerd.io/snapshot/remote/namespace";
/** How a container's user IDs map to the host's: `container:host:length`, several with commas. */
export const UID_MAPPING_LABEL = "containerd.io/snapshot/uidmapping";
/** The same for groups. */
export const GID_MAPPING_LABEL = "containerd.io/snapshot/gidmapping";
