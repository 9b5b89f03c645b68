import { raise } from "../os/mod.ts";
import { cString, readWholeFile } from "../os/mod.ts";
import { libc } from "../os/mod.ts";

/** Flags of mount(2) (uapi/linux/mount.h). */
export const MS = { RDONLY: 1, NOSUID: 2, NODEV: 4, BIND: 4096 } as const;

/** Flags of umount2(2). */
const MNT_DETACH = 2;

/** Arguments of mount(2). */
export interface MountOptions {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** Of `MS`. */
  readonly flags: number;
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
 * Takes a mount away, at once for new users and as soon as the last one is done for those inside
 * (MNT_DETACH). @throws OsError
 */
export function unmount(target: string): void {
  if (libc.umount2(cString(target), MNT_DETACH) < 0) raise("umount", target);
}

/**
 * Mounts a file system that may need answers of this process: off the calling thread.
 * @returns false when the kernel refuses; why is lost on the way, its log (dmesg) may tell.
 */
export async function mountElsewhere(options: MountOptions): Promise<boolean> {
  const { source, target, type, flags, data } = options;
  const texts = [source, target, type, data].map(cString) as Texts<4>;
  return await heldDuring(
    texts,
    ([source, target, type, data]) =>
      libc.mountElsewhere(source, target, type, BigInt(flags), data),
  ) >= 0;
}

/** `unmount` off the calling thread. @returns false when nothing is mounted there. */
export async function unmountElsewhere(target: string): Promise<boolean> {
  return await heldDuring(
    [cString(target)] as Texts<1>,
    ([target]) => libc.umountElsewhere(target, MNT_DETACH),
  ) >= 0;
}

type Text = Uint8Array<ArrayBuffer>;
type Texts<N extends 1 | 4> = N extends 1 ? [Text] : [Text, Text, Text, Text];
/** Buffers of calls on other threads: FFI does not hold them, and they must outlive the call. */
const HELD = new Set<readonly Text[]>();

async function heldDuring<T extends readonly Text[]>(
  texts: T,
  call: (texts: T) => Promise<number>,
): Promise<number> {
  HELD.add(texts);
  try {
    return await call(texts);
  } finally {
    HELD.delete(texts);
  }
}

const MAX_MOUNTINFO_BYTES = 64 * 2 ** 20;

/** A line of /proc/self/mountinfo (proc(5)). */
export interface MountEntry {
  /** `major:minor` of its device. */
  readonly device: string;
  readonly mountpoint: string;
  readonly type: string;
}

/** All mounts this process sees, in order of mounting. @throws OsError */
export function listMounts(): MountEntry[] {
  const text = new TextDecoder().decode(
    readWholeFile("/proc/self/mountinfo", MAX_MOUNTINFO_BYTES),
  );
  return text.trimEnd().split("\n").map((line) => {
    const fields = line.split(" ");
    return {
      device: fields[2] ?? "",
      mountpoint: unescapeOctal(fields[4] ?? ""),
      type: fields[fields.indexOf("-") + 1] ?? "",
    };
  });
}

/** Whether something is mounted right there. */
export function isMountPoint(path: string): boolean {
  return listMounts().some(({ mountpoint }) => mountpoint === path);
}

/** mountinfo writes blanks and backslashes as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(
    /\\([0-7]{3})/g,
    (_, digits: string) => String.fromCharCode(parseInt(digits, 8)),
  );
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
