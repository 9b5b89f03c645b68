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
  /** What it is for. */
  readonly kind: SnapshotKind;
  /** What containerd and others have noted of it. */
  readonly labels: Labels;
  /** When it was prepared; of a committed one, when it was committed. */
  readonly createdAt: Date;
  /** When its kind or labels changed last. */
  readonly updatedAt: Date;
}

/** Disk that a snapshot alone takes, without its parents. */
export interface SnapshotUsage {
  /** Bytes on disk, in whole blocks. */
  readonly sizeBytes: number;
  /** Files and folders. */
  readonly inodes: number;
}

/** Who owns the root directory of a snapshot. */
export interface Owner {
  /** User, on the host. */
  readonly uid: number;
  /** Group, on the host. */
  readonly gid: number;
}

/** A mount for the caller to perform. */
export interface MountSpec {
  /** `bind` where there is one folder, `overlay` where there are more. */
  readonly type: "bind" | "overlay";
  /** The folder of a bind mount; `overlay` of the other. */
  readonly source: string;
  /** As mount(8) takes them: `ro`, `lowerdir=…`. */
  readonly options: readonly string[];
}

/** Label of `Prepare`: the name (chain ID) under which the caller will commit what it unpacks. */
export { TARGET_LABEL } from "../../remote/containerd/mod.ts";
/** Marks a committed snapshot whose files are served lazily. */
export const REMOTE_LABEL = "containerd.io/snapshot/remote";
/** The containerd namespace a lazy layer was first prepared in. */
export const NAMESPACE_LABEL = "containerd.io/snapshot/remote/namespace";
/** How a container's user IDs map to the host's: `container:host:length`, several with commas. */
export const UID_MAPPING_LABEL = "containerd.io/snapshot/uidmapping";
/** The same for groups. */
export const GID_MAPPING_LABEL = "containerd.io/snapshot/gidmapping";
