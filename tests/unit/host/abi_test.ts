/** The numbers of `lib/host/os` and `lib/host/fuse` against the C library's and the kernel's own headers. */
import assert from "node:assert/strict";
import { tryRun } from "../../support/host/mod.ts";
import { testUnless } from "../../support/test_unless.ts";

const LIB = new URL("../../../lib/host/", import.meta.url);

const INCLUDES = [
  ...["dirent.h", "errno.h", "fcntl.h", "limits.h", "malloc.h", "poll.h"],
  ...["sched.h", "signal.h", "spawn.h", "stddef.h", "time.h", "unistd.h"],
  ...["sys/mman.h", "sys/mount.h", "sys/resource.h", "sys/socket.h"],
  ...["sys/stat.h", "sys/statvfs.h", "sys/syscall.h", "sys/un.h"],
  ...["sys/wait.h", "linux/falloc.h", "linux/fuse.h"],
];

/** What our names are called in C; the others are called the same. */
const IN_C: Readonly<Record<string, string>> = {
  SYS_PIDFD_OPEN: "__NR_pidfd_open",
  SYS_PIDFD_GETFD: "__NR_pidfd_getfd",
  CMSG_HEADER_BYTES: "CMSG_LEN(0)",
  MSGHDR_BYTES: "sizeof(struct msghdr)",
  MAX_SOCKET_PATH_BYTES: "sizeof(((struct sockaddr_un *)0)->sun_path) - 1",
  STATX_BYTES: "sizeof(struct statx)",
  "STATX.uid": "offsetof(struct statx, stx_uid)",
  "STATX.gid": "offsetof(struct statx, stx_gid)",
  "STATX.mode": "offsetof(struct statx, stx_mode)",
  "STATX.mtimeSeconds": "offsetof(struct statx, stx_mtime.tv_sec)",
  "STATX.mtimeNanos": "offsetof(struct statx, stx_mtime.tv_nsec)",
  PUNCH_HOLE: "(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)",
  DIRENT_NAME: "offsetof(struct dirent64, d_name)",
  "SYS.moveMount": "__NR_move_mount",
  "SYS.fsopen": "__NR_fsopen",
  "SYS.fsconfig": "__NR_fsconfig",
  "SYS.fsmount": "__NR_fsmount",
  "SYS.openTree": "__NR_open_tree",
  "SYS.mountSetattr": "__NR_mount_setattr",
  MOUNT_ATTRIBUTES:
    "(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)",
  "CONFIG.setFlag": "FSCONFIG_SET_FLAG",
  "CONFIG.setString": "FSCONFIG_SET_STRING",
  "CONFIG.create": "FSCONFIG_CMD_CREATE",
  ATTRIBUTES:
    "(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_IDMAP)",
  MOUNT_ATTR_BYTES: "sizeof(struct mount_attr)",
  POLLFD_BYTES: "sizeof(struct pollfd)",
  IN_HEADER_BYTES: "sizeof(struct fuse_in_header)",
  OUT_HEADER_BYTES: "sizeof(struct fuse_out_header)",
  ENTRY_OUT_BYTES: "sizeof(struct fuse_entry_out)",
  ATTR_OUT_BYTES: "sizeof(struct fuse_attr_out)",
  INIT_OUT_BYTES: "sizeof(struct fuse_init_out)",
  DIRENT_BYTES: "FUSE_NAME_OFFSET",
  OPEN_OUT_BYTES: "sizeof(struct fuse_open_out)",
  STATFS_OUT_BYTES: "sizeof(struct fuse_statfs_out)",
  GETXATTR_OUT_BYTES: "sizeof(struct fuse_getxattr_out)",
  INIT_FLAGS:
    "(FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT)",
  POSIX_ACL: "FUSE_POSIX_ACL",
  INIT_EXT: "FUSE_INIT_EXT",
  HAS_RESEND: "(FUSE_HAS_RESEND >> 32)",
  ALLOW_IDMAP: "(FUSE_ALLOW_IDMAP >> 32)",
  NOTIFY_RESEND: "FUSE_NOTIFY_RESEND",
  NOTIFY_INVAL_INODE: "FUSE_NOTIFY_INVAL_INODE",
  PROTOCOL_MAJOR: "FUSE_KERNEL_VERSION",
};

/** Tables whose entries have the name of C behind this. */
const PREFIXES: Readonly<Record<string, string>> = {
  ...{ O: "O_", MS: "MS_", ERRNO: "", OPCODE: "FUSE_", FOPEN: "FOPEN_" },
};

/** In which minor version of FUSE's protocol the headers have it. */
const SINCE: Readonly<Record<string, number>> = {
  INIT_EXT: 36,
  HAS_RESEND: 40,
  NOTIFY_RESEND: 40,
  ALLOW_IDMAP: 41,
};

/** Numbers that are our own choice, not the system's; and one that only the kernel's own sources name. */
const OURS = new Set([
  "INTERRUPT_BIT",
  ...["MAX_LIST_BYTES", "NOBODY", "DIRENTS_BYTES", "MAX_STRING_BYTES"],
  ...["PAGE", "AROUND", "FOR_EVER", "OPAQUE_BYTES", "HOLDER_LOOKS_S"],
  ...["MAX_STATUS_BYTES", "STACK_BYTES", "LIFE_S", "LOOKS", "SOON_MS"],
  ...["MAX_WRITE_BYTES", "FOREVER_SECONDS", "PROTOCOL_MINOR"],
  ...["MAX_BACKGROUND", "MAX_READ_BYTES", "MAX_READ_AHEAD_BYTES", "TWO_32"],
]);

/** Constants of a module that are numbers, and tables of numbers, as one architecture has them. */
function numbersOf(text: string, arch: string): Record<string, bigint> {
  const found: Record<string, bigint> = {};
  const bare = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  for (
    const [, name, value] of bare.matchAll(
      /^(?:export )?const ([A-Z][A-Z_0-9]*) = ([^;]*);/gm,
    )
  ) {
    const literal = value!.replace(/\s+as const$/, "")
      .replaceAll("Deno.build.arch", JSON.stringify(arch));
    if (!/^[-\w\s{}:,.|<?"=()*]+$/.test(literal)) continue;
    let constant: unknown;
    try {
      constant = new Function(`return (${literal});`)();
    } catch {
      continue; // made of other names
    }
    const entries = typeof constant === "object" && constant !== null
      ? Object.entries(constant).map(([key, one]) => [`${name}.${key}`, one])
      : [[name!, constant]];
    for (const [key, one] of entries) {
      if (Number.isInteger(one) || typeof one === "bigint") {
        found[key as string] = BigInt(one as number);
      }
    }
  }
  return found;
}

function nameInC(name: string): string {
  const [table, entry] = name.split(".");
  const prefix = entry === undefined ? undefined : PREFIXES[table!];
  return IN_C[name] ?? (prefix === undefined ? name : `${prefix}${entry}`);
}

async function program(arch: string): Promise<string> {
  const lines = INCLUDES.map((name) => `#include <${name}>`);
  let compared = 0;
  for (const room of ["os", "fuse"]) {
    for await (const { name } of Deno.readDir(new URL(`${room}/`, LIB))) {
      const text = await Deno.readTextFile(new URL(`${room}/${name}`, LIB));
      for (const [ours, value] of Object.entries(numbersOf(text, arch))) {
        if (OURS.has(ours)) continue;
        compared++;
        const check = `_Static_assert((long long)(${
          nameInC(ours)
        }) == ${value}LL, "${room}/${name}: ${ours}");`;
        const since = SINCE[ours];
        lines.push(
          since === undefined
            ? check
            : `#if FUSE_KERNEL_MINOR_VERSION >= ${since}\n${check}\n#endif`,
        );
      }
    }
  }
  assert.ok(compared > 150, `only ${compared} numbers were found`);
  return lines.join("\n");
}

for (
  const { arch, compiler } of [
    { arch: "x86_64", compiler: "x86_64-linux-gnu-gcc" },
    { arch: "aarch64", compiler: "aarch64-linux-gnu-gcc" },
  ]
) {
  const { code } = await tryRun("sh", ["-c", `command -v ${compiler}`]);
  testUnless(code === 0 ? null : `${compiler} is not installed`, {
    name: `numbers of the system and of FUSE are those of the headers: ${arch}`,
    fn: async () => {
      const folder = await Deno.makeTempDir();
      await Deno.writeTextFile(`${folder}/abi.c`, await program(arch));
      const { code, stderr } = await tryRun(compiler, [
        ...["-D_GNU_SOURCE", "-fsyntax-only", `${folder}/abi.c`],
      ]);
      await Deno.remove(folder, { recursive: true });
      assert.equal(code, 0, stderr);
    },
  });
}
