import { run } from "../host/mod.ts";

/** Everything lstat, readlink, listxattr and reading tell about one entry. */
export interface TreeEntry {
  /** Relative to the root, which is `.`; bytes outside printable ASCII as `\xNN`. */
  readonly path: string;
  /** A `ghost` is listed in its directory, and yet lstat finds nothing (a whiteout in overlayfs). */
  readonly type:
    | "file"
    | "dir"
    | "symlink"
    | "char"
    | "block"
    | "fifo"
    | "socket"
    | "ghost";
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** 0 for directories: their size depends on the file system. */
  readonly sizeBytes: number;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  readonly nlink: number;
  /** `device:number` */
  readonly inode: string;
  /** Values in hex. */
  readonly xattrs: Readonly<Record<string, string>>;
  /** `major:minor` */
  readonly device?: string;
  readonly target?: string;
  readonly sha256?: string;
}

/** How to read a tree. */
export interface TreeOptions {
  /** Prefixes of extended attribute names to leave out, such as `trusted.overlay.`. */
  readonly ignoreXattrs?: readonly string[];
  readonly timeoutMs?: number;
}

/**
 * Lists a tree in order of raw names. It runs Python in its own process: Python accepts names of
 * any bytes, and a hanging file system blocks only that process, not the test.
 */
export async function treeOf(
  root: string,
  options: TreeOptions = {},
): Promise<TreeEntry[]> {
  const { stdout } = await run("/usr/bin/python3", [
    "-I",
    new URL("./tree.py", import.meta.url).pathname,
    root,
    ...(options.ignoreXattrs ?? []),
  ], { timeoutMs: options.timeoutMs ?? 120_000 });
  return stdout.split("\n").filter((line) => line !== "").map((line) => {
    const { size, mtime, ...rest } = JSON.parse(line);
    return { ...rest, sizeBytes: size, mtimeNs: BigInt(mtime) };
  });
}
