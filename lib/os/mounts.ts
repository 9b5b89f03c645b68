import { raise } from "./errno.ts";
import { cString } from "./files.ts";
import { libc } from "./libc.ts";

/** Flags of mount(2) (uapi/linux/mount.h). */
export const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4 } as const;

/** Flags of umount2(2). */
const MNT_DETACH = 2;

/** Mounts a file system. @throws OsError */
export function mountFileSystem(
  options: {
    source: string;
    target: string;
    type: string;
    flags: number;
    data: string;
  },
): void {
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
 * Takes a mount away, at once for new users and as soon as the last one is done for those inside
 * (MNT_DETACH). @throws OsError
 */
export function unmount(target: string): void {
  if (libc.umount2(cString(target), MNT_DETACH) < 0) raise("umount", target);
}

/** Figures of the file system that holds a path. */
export interface FileSystemUse {
  readonly blockSizeBytes: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
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
  };
}
