/**
 * mount(2), umount2(2) and statfs(2).
 * @module
 */
import { callElsewhere } from "./elsewhere.ts";
import { raise } from "./errno.ts";
import { cString } from "./files.ts";
import { libc } from "./libc.ts";

/** Flags of mount(2) (uapi/linux/mount.h). */
export const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4, BIND: 4096 } as const;

/**
 * Flags for every mount of layers on the host. Setuid programs and device nodes of an image are for its
 * containers, whose overlay has its own flags; on the host every local user could use them. A bind mount
 * inherits these flags, so a bind mount for a container needs the options `suid,dev`.
 */
export const LOWER_FLAGS: number = MS.RDONLY | MS.NOSUID | MS.NODEV;

/** Flags of umount2(2). */
const MNT_DETACH = 2;

/** Arguments of mount(2). */
export interface MountOptions {
  /** A device or path; a name that means nothing to the kernel where the type needs none. */
  readonly source: string;
  /** Where to mount it. */
  readonly target: string;
  /** Of the file system. */
  readonly type: string;
  /** Of `MS`. */
  readonly flags: number;
  /** Options of the file system, with commas between; at most 4095 bytes. */
  readonly data: string;
}

/** Mounts a file system. @throws OsError */
export function mountFileSystem(options: MountOptions): void {
  const { source, target, type, flags, data } = options;
  const result = libc.mount(
    cString(source),
    cString(target),
    cString(type),
    BigInt(flags),
    cString(data),
  );
  if (result < 0) raise(`mount ${type} on`, target);
}

/**
 * Unmounts lazily (MNT_DETACH): at once for new users, and for those inside when the last one leaves.
 * @throws OsError
 */
export function unmount(target: string): void {
  if (libc.umount2(cString(target), MNT_DETACH) < 0) raise("umount", target);
}

/**
 * Mounts a file system that may need answers from this process, on another thread.
 * @returns false when the kernel refuses; the reason is lost, but its log (dmesg) may have it.
 */
export async function mountElsewhere(options: MountOptions): Promise<boolean> {
  const { source, target, type, flags, data } = options;
  const result = await callElsewhere(
    "mount",
    cString(source),
    cString(target),
    cString(type),
    BigInt(flags),
    cString(data),
  );
  return result >= 0;
}

/** `unmount` on another thread. @returns false when nothing is mounted there. */
export async function unmountElsewhere(target: string): Promise<boolean> {
  return await callElsewhere("umount2", cString(target), MNT_DETACH) >= 0;
}

const ST_RDONLY = 1;

/** Figures of the file system that holds a path. */
export interface FileSystemUse {
  /** Bytes of a block, for the counts below. */
  readonly blockSizeBytes: number;
  /** Blocks there are. */
  readonly blocks: number;
  /** Free blocks. */
  readonly blocksFree: number;
  /** Blocks that users other than root may take. */
  readonly blocksAvailable: number;
  /** Inodes there are; 0 where the file system makes them as needed. */
  readonly files: number;
  /** Free inodes. */
  readonly filesFree: number;
  /** Whether nothing can be written to it, or not by this mount. */
  readonly readOnly: boolean;
}

/** statfs(2); offsets of `struct statfs` on 64-bit Linux (asm-generic/statfs.h). @throws OsError */
export function fileSystemUse(path: string): FileSystemUse {
  const buffer = new Uint8Array(256);
  if (libc.statfs(cString(path), buffer) < 0) raise("statfs", path);
  const view = new DataView(buffer.buffer);
  const word = (index: number) => Number(view.getBigUint64(index * 8, true));
  return {
    blockSizeBytes: word(1),
    blocks: word(2),
    blocksFree: word(3),
    blocksAvailable: word(4),
    files: word(5),
    filesFree: word(6),
    readOnly: (word(10) & ST_RDONLY) !== 0,
  };
}
