import {
  closeFd,
  descriptorTarget,
  LOWER_FLAGS,
  mountFileSystem,
  MS,
  O,
  openFd,
  OsError,
  writeText,
} from "../os/mod.ts";
import { listMounts } from "./mounts.ts";

/** Type of our mounts in the kernel's list. */
export const MOUNT_TYPE = "fuse.soci-deno";

/** How a FUSE file system is mounted. */
export interface MountFuseOptions {
  /** An empty directory. */
  readonly mountpoint: string;
  /** Shown as the source in `mount`'s list. */
  readonly source: string;
  /** The most bytes that the kernel asks for in one READ. */
  readonly maxReadBytes: number;
}

/** Mounts and returns the descriptor requests are read from; the caller owns it. @throws OsError */
export function mountFuse(
  { mountpoint, source, maxReadBytes }: MountFuseOptions,
): number {
  const fd = openFd("/dev/fuse", O.RDWR);
  try {
    mountFileSystem({
      source,
      target: mountpoint,
      type: MOUNT_TYPE,
      flags: LOWER_FLAGS,
      data:
        `fd=${fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=${maxReadBytes}`,
    });
    return fd;
  } catch (error) {
    closeFd(fd);
    throw error;
  }
}

/** Whether a descriptor is an open `/dev/fuse`. @throws OsError */
export function isFuseDescriptor(fd: number): boolean {
  return descriptorTarget(fd) === "/dev/fuse";
}

const mountAt = (mountpoint: string) =>
  listMounts().findLast((entry) => entry.mountpoint === mountpoint);

/**
 * `major:minor` of what is mounted last at `mountpoint`; null when nothing is. Does not touch the
 * mount, so it never waits for its server.
 */
export function mountDevice(mountpoint: string): string | null {
  return mountAt(mountpoint)?.device ?? null;
}

/**
 * Where the kernel shows its FUSE connections, once `fusectl` is mounted there. Each is named by the
 * minor number of its mount's device. A mount of another type may have the same one: disks have
 * numbers of their own.
 */
const CONNECTIONS = "/sys/fs/fuse/connections";

/**
 * Ends all waiting requests on the mount with ENOTCONN, whether or not its server lives. A process that
 * waits in the kernel for ever can block `sync` and unmounting, so this mounts `fusectl` if the system
 * has not done so.
 * @returns whether it is a mount of ours and the connection was found.
 */
export function abortConnection(mountpoint: string): boolean {
  const mount = mountAt(mountpoint);
  if (mount?.type !== MOUNT_TYPE) return false;
  try {
    if (!listMounts().some((entry) => entry.mountpoint === CONNECTIONS)) {
      mountFileSystem({
        source: "fusectl",
        target: CONNECTIONS,
        type: "fusectl",
        flags: MS.NOSUID | MS.NODEV,
        data: "",
      });
    }
    writeText(`${CONNECTIONS}/${mount.device.split(":")[1]}/abort`, "1");
    return true;
  } catch (error) {
    if (error instanceof OsError) return false;
    throw error;
  }
}
