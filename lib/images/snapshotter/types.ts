import type { Moment } from "../../host/os/mod.ts";

/**
 * `active`: writable, may be committed. `view`: read-only, never committed. `committed`: immutable,
 * can be a parent.
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
  /** The kind of snapshot. */
  readonly kind: SnapshotKind;
  /** Labels that containerd and others set. */
  readonly labels: Labels;
  /** When it was prepared, or committed if it is a committed one. */
  readonly createdAt: Moment;
  /** When its kind or labels last changed. */
  readonly updatedAt: Moment;
}

/** The disk space of a snapshot alone, without its parents. */
export interface SnapshotUsage {
  /** Bytes on disk, in whole blocks. */
  readonly sizeBytes: number;
  /** Files and folders. */
  readonly inodes: number;
}

/** The owner of a snapshot's root directory. */
export interface Owner {
  /** The user ID on the host. */
  readonly uid: number;
  /** The group ID on the host. */
  readonly gid: number;
}

/** A mount for the caller to perform. */
export interface MountSpec {
  /** `bind` for one folder, `overlay` for several. */
  readonly type: "bind" | "overlay";
  /** The folder of a bind mount; `overlay` for an overlay mount. */
  readonly source: string;
  /** As in mount(8): `ro`, `lowerdir=…`. */
  readonly options: readonly string[];
}

/**
 * Label of `Prepare`: the name (chain ID) under which the caller will commit the unpacked layer.
 */
export { TARGET_LABEL } from "../../remote/containerd_words/mod.ts";
/** Marks a committed snapshot whose files are served lazily. */
export const REMOTE_LABEL = "containerd.io/snapshot/remote";
/** The containerd namespace a lazy layer was first prepared in. */
export const NAMESPACE_LABEL = "containerd.io/snapshot/remote/namespace";
/** How a container's user IDs map to the host's: `container:host:length`, separated by commas. */
export const UID_MAPPING_LABEL = "containerd.io/snapshot/uidmapping";
/** The same for group IDs. */
export const GID_MAPPING_LABEL = "containerd.io/snapshot/gidmapping";
