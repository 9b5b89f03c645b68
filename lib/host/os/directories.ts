/**
 * Directories with all that they show: owner, mode, attributes, time. Their names are any bytes, so
 * paths are given as text of one character a byte.
 * @module
 */
import { ERRNO, OsError } from "./errno.ts";
import { O } from "./files.ts";
import { lastErrno, libc } from "./libc.ts";

/** What a directory is given. */
export interface DirectoryAttributes {
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Owning group. */
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtimeSeconds: number;
  /** Nanoseconds of the second. */
  readonly mtimeNanos: number;
  /** Extended attributes; names as text of one character a byte. */
  readonly xattrs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const MAX_LIST_BYTES = 65536;
const PATH_MAX = 4096;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;
/** `struct statx` (uapi/linux/stat.h): its size, and where fields are. */
const STATX_BYTES = 256;
const STATX_BASIC_STATS = 0x7ff;
const STATX = {
  uid: 20,
  gid: 24,
  mode: 28,
  mtimeSeconds: 112,
  mtimeNanos: 120,
} as const;
/** The user that nothing belongs to. */
const NOBODY = 65534;

/** Bytes of a text of one character a byte, with a closing zero. */
function pathBytes(path: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(path.length + 1);
  for (let i = 0; i < path.length; i++) bytes[i] = path.charCodeAt(i);
  return bytes;
}

/** The same text for a path that Deno has given. */
export function bytePath(path: string): string {
  return String.fromCharCode(...new TextEncoder().encode(path));
}

/** Makes a directory that only its owner may use, until it is given its attributes. @throws OsError */
export function makeDirectoryOf(path: string): void {
  check(libc.mkdir(pathBytes(path), 0o700), "mkdir", path);
}

/**
 * Gives a directory all but its time.
 * @returns names of attributes its file system does not take.
 * @throws OsError
 */
export function setAttributes(
  path: string,
  attributes: DirectoryAttributes,
): string[] {
  const at = pathBytes(path);
  const { uid, gid, mode, xattrs } = attributes;
  check(libc.lchown(at, uid, gid), "lchown", path);
  check(libc.chmod(at, mode), "chmod", path);
  const refused: string[] = [];
  for (const [key, value] of xattrs) {
    const name = pathBytes(key);
    const size = BigInt(value.length);
    if (libc.lsetxattr(at, name, value, size, 0) === 0) continue;
    const errno = lastErrno();
    if (errno !== ERRNO.ENOTSUP && errno !== ERRNO.EOPNOTSUPP) {
      throw new OsError(errno, "lsetxattr", path);
    }
    refused.push(key);
  }
  return refused;
}

/**
 * Whether who is neither root nor in a group of its may not enter a directory: tried, as somebody
 * else, and not looked at.
 */
export function isClosedToOthers(path: string): boolean {
  // Of this thread alone, and only for files (setfsuid(2)).
  libc.setfsgid(NOBODY);
  libc.setfsuid(NOBODY);
  try {
    const fd = libc.open(pathBytes(bytePath(path)), O.DIRECTORY | O.CLOEXEC, 0);
    if (fd < 0) return lastErrno() === ERRNO.EACCES;
    libc.close(fd);
    return false;
  } finally {
    libc.setfsuid(0);
    libc.setfsgid(0);
  }
}

/** Gives a directory its time: last, as what is made in it changes that. @throws OsError */
export function setTime(
  path: string,
  { mtimeSeconds, mtimeNanos }: DirectoryAttributes,
): void {
  const times = new BigInt64Array(4);
  times[0] = times[2] = BigInt(mtimeSeconds);
  times[1] = times[3] = BigInt(mtimeNanos);
  const result = libc.utimensat(
    AT_FDCWD,
    pathBytes(path),
    new Uint8Array(times.buffer),
    AT_SYMLINK_NOFOLLOW,
  );
  check(result, "utimensat", path);
}

/** What is at a path. */
export interface PathEntry extends Omit<DirectoryAttributes, "xattrs"> {
  /** `other`: anything that is no directory and no symbolic link. */
  readonly kind: "directory" | "link" | "other";
}

/**
 * Looks at a path, given as text of one character a byte, and follows no link in its last component.
 * @returns null if nothing is there. @throws OsError
 */
export function entryAt(path: string): PathEntry | null {
  const bytes = new Uint8Array(STATX_BYTES);
  const result = libc.statx(
    AT_FDCWD,
    pathBytes(path),
    AT_SYMLINK_NOFOLLOW,
    STATX_BASIC_STATS,
    bytes,
  );
  if (result < 0) {
    const errno = lastErrno();
    if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR) return null;
    throw new OsError(errno, "statx", path);
  }
  const view = new DataView(bytes.buffer);
  const mode = view.getUint16(STATX.mode, true);
  const type = mode & S_IFMT;
  return {
    kind: type === S_IFDIR ? "directory" : type === S_IFLNK ? "link" : "other",
    mode: mode & ~S_IFMT,
    uid: view.getUint32(STATX.uid, true),
    gid: view.getUint32(STATX.gid, true),
    mtimeSeconds: Number(view.getBigInt64(STATX.mtimeSeconds, true)),
    mtimeNanos: view.getUint32(STATX.mtimeNanos, true),
  };
}

/** The target of a symbolic link; path and target are texts of one character a byte. @throws OsError */
export function linkTarget(path: string): string {
  const into = new Uint8Array(PATH_MAX);
  const length = libc.readlink(pathBytes(path), into, BigInt(into.length));
  check(length, "readlink", path);
  return String.fromCharCode(...into.subarray(0, length));
}

/** Extended attributes of a file, those of the host itself (`trusted.*`) left out. @throws OsError */
export function xattrsOf(path: string): Map<string, Uint8Array<ArrayBuffer>> {
  const at = pathBytes(path);
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  const list = new Uint8Array(MAX_LIST_BYTES);
  const length = Number(libc.llistxattr(at, list, BigInt(list.length)));
  if (length < 0) {
    if (lastErrno() === ERRNO.ENOTSUP) return found;
    throw new OsError(lastErrno(), "llistxattr", path);
  }
  for (let start = 0; start < length;) {
    const end = list.indexOf(0, start);
    const name = list.slice(start, end + 1);
    start = end + 1;
    const key = String.fromCharCode(...name.subarray(0, -1));
    if (key.startsWith("trusted.")) continue;
    const value = new Uint8Array(MAX_LIST_BYTES);
    const size = libc.lgetxattr(at, name, value, BigInt(value.length));
    if (Number(size) >= 0) found.set(key, value.slice(0, Number(size)));
  }
  return found;
}

function check(result: number, call: string, path: string): void {
  if (result < 0) throw new OsError(lastErrno(), call, path);
}
