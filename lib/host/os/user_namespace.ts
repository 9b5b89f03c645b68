/**
 * User namespaces, and clones of mounts that show owners as one maps them (mount_setattr(2)).
 * @module
 */
import { raise } from "./errno.ts";
import { closeFd, cString, O, openFd, writeText } from "./files.ts";
import { LIBC_PATH } from "./libc_path.ts";
import { Arena } from "./memory.ts";
import { endProcess } from "./processes.ts";

/** Numbers of the calls, the same on every architecture (asm-generic/unistd.h). */
const SYS = { openTree: 428n, moveMount: 429n, mountSetattr: 442n } as const;
/** uapi/linux/sched.h; the signal is what a parent gets at the end. */
const CLONE_NEWUSER = 0x10000000;
const SIGCHLD = 17;
const STACK_BYTES = 64 * 1024;
/** How long the process lives whose namespace is asked for, s, should nobody end it. */
const LIFE_S = 5n;
/** uapi/linux/mount.h and fcntl.h */
const AT_FDCWD = -100n;
const AT_EMPTY_PATH = 0x1000n;
const OPEN_TREE_CLONE = 1n;
const OPEN_TREE_CLOEXEC = 0x80000n;
const MOVE_MOUNT_F_EMPTY_PATH = 4n;
/** RDONLY, NOSUID and NODEV, as every mount of layers has them, and IDMAP. */
const ATTRIBUTES = 1n | 2n | 4n | 0x100000n;
const MS_PRIVATE = 1n << 18n;
/** `struct mount_attr`: attributes to set, to clear, propagation, namespace; 64 bits each. */
const MOUNT_ATTR_BYTES = 32;

const symbols = {
  clone: {
    parameters: ["usize", "usize", "i32", "usize"],
    result: "i32",
  },
  dlsym: { parameters: ["usize", "buffer"], result: "usize" },
  // libc before 2.36 has no names for these.
  openTree: {
    name: "syscall",
    parameters: ["i64", "i64", "buffer", "i64"],
    result: "i32",
  },
  mountSetattr: {
    name: "syscall",
    parameters: ["i64", "i64", "buffer", "i64", "buffer", "i64"],
    result: "i32",
  },
  moveMount: {
    name: "syscall",
    parameters: ["i64", "i64", "buffer", "i64", "buffer", "i64"],
    result: "i32",
  },
} as const;

/** Opened only when needed: an older libc without these calls can do everything else. */
function calls() {
  return Deno.dlopen(LIBC_PATH, symbols).symbols;
}

/** How a user namespace maps IDs: lines `inside outside count`, as user_namespaces(7) has them. */
export interface IdMaps {
  /** Of users. */
  readonly uids: string;
  /** Of groups. */
  readonly gids: string;
}

/**
 * A new user namespace with nobody in it. The caller owns the descriptor, which keeps it.
 *
 * A namespace is made together with a process. That is a copy of this one, in which only libc's `sleep`
 * runs, on a stack of its own: no JavaScript. It is ended at once, and ends by itself if this process
 * cannot do that any more.
 *
 * @throws OsError ENOSPC or EUSERS where no more may be made, EINVAL where the kernel has none or refuses
 * the maps, EPERM without the right to map these IDs; TypeError where libc lacks a call (glibc before
 * 2.34).
 */
export function openUserNamespace({ uids, gids }: IdMaps): number {
  const c = calls();
  const arena = new Arena(STACK_BYTES);
  // It grows down, and begins on 16 bytes.
  const top = arena.address(arena.take(STACK_BYTES) + STACK_BYTES) & ~15n;
  const sleep = c.dlsym(0n, cString("sleep"));
  const pid = c.clone(sleep, top, CLONE_NEWUSER | SIGCHLD, LIFE_S);
  if (pid < 0) raise("clone", "a user namespace");
  arena.bytes[0] = 0; // its memory must not have been given back before
  try {
    writeText(`/proc/${pid}/uid_map`, uids);
    writeText(`/proc/${pid}/gid_map`, gids);
    return openFd(`/proc/${pid}/ns/user`, O.RDONLY);
  } finally {
    endProcess(pid);
  }
}

/**
 * Attaches a clone of what a directory shows, without mounts below it, whose owners are mapped: who is
 * `inside` on disk is shown as `outside`. Read-only, nosuid and nodev.
 *
 * Waits for whoever serves the directory.
 *
 * @param target an existing directory.
 * @throws OsError; its call is `open_tree`, `mount_setattr` (EINVAL: this file system cannot be mapped;
 * EPERM: it is mapped already) or `move_mount`; ENOSYS where the kernel has no such call.
 */
export function attachMappedClone(
  source: string,
  target: string,
  userNamespace: number,
): void {
  const c = calls();
  const tree = c.openTree(
    SYS.openTree,
    AT_FDCWD,
    cString(source),
    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
  );
  if (tree < 0) raise("open_tree", source);
  try {
    const attributes = new BigUint64Array([
      ...[ATTRIBUTES, 0n, MS_PRIVATE, BigInt(userNamespace)],
    ]);
    const mapped = c.mountSetattr(
      SYS.mountSetattr,
      BigInt(tree),
      cString(""),
      AT_EMPTY_PATH,
      new Uint8Array(attributes.buffer),
      BigInt(MOUNT_ATTR_BYTES),
    );
    if (mapped < 0) raise("mount_setattr", source);
    const moved = c.moveMount(
      SYS.moveMount,
      BigInt(tree),
      cString(""),
      AT_FDCWD,
      cString(target),
      MOVE_MOUNT_F_EMPTY_PATH,
    );
    if (moved < 0) raise("move_mount", target);
  } finally {
    closeFd(tree);
  }
}
