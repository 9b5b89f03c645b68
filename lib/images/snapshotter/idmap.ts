import { SnapshotError } from "./errors.ts";
import type { Owner } from "./types.ts";
import { GID_MAPPING_LABEL, type Labels, UID_MAPPING_LABEL } from "./types.ts";

/** How to mount a snapshot for a container with its own user namespace. */
export interface IdMapping {
  /** Mount options that make containerd (2.0 and later) id-map the mounts of the parents. */
  readonly options: readonly string[];
  /** The host's IDs of the container's root, which owns the writable layer. */
  readonly root: Owner;
}

/**
 * Reads the mapping from a snapshot's labels. containerd sets them only if the snapshotter is
 * configured with the capability `remap-ids`. The kernel then maps owners, so no file is copied.
 *
 * @returns null if there is none.
 * @throws SnapshotError `invalid-argument` for a mapping that cannot be parsed or has no root.
 */
export function idMapping(key: string, labels: Labels): IdMapping | null {
  const uids = labels[UID_MAPPING_LABEL];
  const gids = labels[GID_MAPPING_LABEL];
  if (uids === undefined && gids === undefined) return null;
  if (uids === undefined || gids === undefined) {
    throw new SnapshotError(
      "invalid-argument",
      key,
      `snapshot ${key} maps ${uids === undefined ? "groups" : "users"} only`,
    );
  }
  return {
    options: [`uidmap=${uids}`, `gidmap=${gids}`],
    root: { uid: hostRoot(key, uids), gid: hostRoot(key, gids) },
  };
}

function hostRoot(key: string, mapping: string): number {
  for (const range of mapping.split(",")) {
    const [, container, host, length] = range.match(/^(\d+):(\d+):(\d+)$/) ??
      [];
    if (length === undefined) break;
    if (Number(container) === 0 && Number(length) > 0) return Number(host);
  }
  throw new SnapshotError(
    "invalid-argument",
    key,
    `snapshot ${key}: ID mapping ${JSON.stringify(mapping)} does not map root`,
  );
}
