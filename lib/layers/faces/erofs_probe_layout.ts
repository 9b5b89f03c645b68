import { type ErofsTree, writeErofsImage } from "../../formats/erofs/mod.ts";
import { S } from "../tree/mod.ts";

/** The blob of the self-test. */
export const PROBE_BLOB = {
  name: "blob",
  sizeBytes: 512 * 1024,
  /** Any READ that touches a byte at or after this offset fails. */
  goodBytes: 256 * 1024,
} as const;

const { goodBytes } = PROBE_BLOB;

/** The files of the self-test, and where their data lies. */
export const PROBE_FILES = [
  /** Can be read whole. */
  { name: "good", offset: 512, size: 100_000 },
  /** Cannot be read at all. */
  { name: "lost", offset: goodBytes + 4096, size: 100_000 },
  /** Its first half can be read, and read-ahead runs from it into the second half. */
  { name: "torn", offset: goodBytes - 64 * 1024, size: 128 * 1024 },
  /** A part of its first page can be read. */
  { name: "torn-page", offset: goodBytes - 512, size: 4096 },
] as const;

/** The blob's bytes from `offset` on. None is zero, so a zero means a hole. */
export function fillProbePattern(into: Uint8Array, offset: number): void {
  for (let i = 0; i < into.length; i++) into[i] = (offset + i) % 251 + 1;
}

/** An image with the files of the self-test in two directories, `a` and `b`. */
export function probeImage(): Uint8Array<ArrayBuffer> {
  const files = PROBE_FILES.length;
  const count = 3 + files; // root, a, b, files
  const names = new TextEncoder().encode(
    ["a", "b", ...PROBE_FILES.map(({ name }) => name)].join(""),
  );
  const lengths = [1, 1, ...PROBE_FILES.map(({ name }) => name.length)];
  const offsets = lengths.map((_, i) =>
    lengths.slice(0, i).reduce((sum, length) => sum + length, 0)
  );
  const column = (of: (inode: number) => number) =>
    Uint32Array.from({ length: count }, (_, inode) => of(inode));
  const none = column(() => 0);
  const file = (inode: number) => PROBE_FILES[inode - 3];
  const tree: ErofsTree = {
    inodes: count,
    mode: column((inode) => inode < 3 ? S.IFDIR | 0o755 : S.IFREG | 0o644),
    uid: none,
    gid: none,
    nlink: column((inode) => inode === 0 ? 4 : 2),
    rdev: none,
    mtimeSeconds: new Float64Array(count),
    mtimeNanos: none,
    // The root has a and b, and each of them all files.
    first: column((inode) => inode === 0 ? 0 : inode < 3 ? 2 : 0),
    count: column((inode) => inode === 0 ? 2 : inode < 3 ? files : 0),
    size: Float64Array.from(
      { length: count },
      (_, inode) => file(inode)?.size ?? 0,
    ),
    dataOffset: Float64Array.from(
      { length: count },
      (_, inode) => file(inode)?.offset ?? 0,
    ),
    names,
    nameOffset: Uint32Array.from(offsets),
    nameLength: Uint32Array.from(lengths),
    direntInode: Uint32Array.from(lengths, (_, dirent) => 1 + dirent),
    target: () => new Uint8Array(0),
    xattrCount: () => 0,
    xattrKey: () => new Uint8Array(0),
    xattrValue: () => new Uint8Array(0),
  };
  return writeErofsImage(tree, {
    blobBytes: PROBE_BLOB.sizeBytes,
    treeChecksum: 0,
  });
}
