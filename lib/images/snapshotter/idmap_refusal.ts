import type { MappedFailure } from "../../host/mount_process/mod.ts";
import { SnapshotError } from "./errors.ts";

/** Why no user namespace can be made, by the error. */
const NO_NAMESPACE: Readonly<Record<string, string>> = {
  ENOSPC: "no more user namespaces may be made: raise user.max_user_namespaces",
  EUSERS: "no more user namespaces may be made: raise user.max_user_namespaces",
  EINVAL: "this kernel has no user namespaces (CONFIG_USER_NS)",
  EPERM:
    "the daemon may not map IDs: it needs CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID in the host's own user namespace",
};

/** Since when file systems can be mapped, by their type. */
const SINCE: Readonly<Record<string, string>> = {
  "fuse.soci-deno":
    "FUSE mounts can be mapped by Linux 6.12 and later, if this release has made them (after an upgrade: `soci-deno stop`, then start again)",
  erofs: "EROFS mounts can be mapped by Linux 5.19 and later",
};

/**
 * The error for a snapshot whose layers cannot be mapped: why not, and what to do, in one line.
 * @param type of the file system that was to be mapped; null when that is not known.
 */
export function mappingRefusal(
  snapshot: string,
  failure: MappedFailure,
  type: string | null,
): SnapshotError {
  return new SnapshotError(
    failure.call === "" ? "unavailable" : "failed-precondition",
    snapshot,
    `snapshot ${snapshot} cannot have its owners mapped: ${
      reason(failure, type)
    }; without a user namespace it runs`,
  );
}

function reason(
  { call, code, source }: MappedFailure,
  type: string | null,
): string {
  if (call === "") return code;
  if (code === "ENOSYS") {
    return "this kernel has no id-mapped mounts, Linux 5.12 and later have";
  }
  if (source === null) {
    return NO_NAMESPACE[code] ??
      `a user namespace cannot be made (${call}: ${code})`;
  }
  if (call === "mount_setattr" && code === "EINVAL" && type !== null) {
    return SINCE[type] ??
      `${source} is on ${type}, which this kernel cannot map`;
  }
  if (call === "mount_setattr" && code === "EPERM") {
    return `${source} is on a mount that is mapped already`;
  }
  return `${call} of ${source}: ${code}`;
}
