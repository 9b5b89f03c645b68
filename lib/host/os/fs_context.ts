import { callElsewhere } from "./elsewhere.ts";
import { ERRNO } from "./errno.ts";
import { closeFd, cString, O } from "./files.ts";
import { lastErrno, libc } from "./libc.ts";

/** Numbers of the calls, the same on every architecture (asm-generic/unistd.h). */
const SYS = {
  moveMount: 429n,
  fsopen: 430n,
  fsconfig: 431n,
  fsmount: 432n,
} as const;
/** uapi/linux/mount.h */
const FSOPEN_CLOEXEC = 1n;
const FSMOUNT_CLOEXEC = 1n;
/** RDONLY, NOSUID and NODEV: `LOWER_FLAGS` as attributes of this call. */
const MOUNT_ATTRIBUTES = 1n | 2n | 4n;
const MOVE_MOUNT_F_EMPTY_PATH = 4n;
const CONFIG = { setFlag: 0n, setString: 1n, create: 6n } as const;
const AT_FDCWD = -100n;
/** A string given to fsconfig(2), closing zero included. */
const MAX_STRING_BYTES = 256;

type Text = Uint8Array<ArrayBuffer>;

/**
 * A file system that is being configured (fsopen(2)); read-only, nosuid and nodev. Calls that look up
 * paths run on another thread, because the paths may be on our own FUSE mounts.
 */
export class FsContext implements Disposable {
  /** Directories that have short names by their descriptors. */
  readonly #open: number[] = [];

  private constructor(readonly fd: number) {}

  /** Begins one. @returns null if the kernel has no such call, or cannot make this file system by it. */
  static open(type: string): FsContext | null {
    const fd = libc.fsopen(SYS.fsopen, cString(type), FSOPEN_CLOEXEC);
    return fd < 0 ? null : new FsContext(fd);
  }

  /** Sets a parameter. @returns whether the kernel accepts it; `log` says why not. */
  async set(key: string, value: string): Promise<boolean> {
    const text = cString(value);
    if (text.length > MAX_STRING_BYTES) {
      return await this.#config(
        CONFIG.setString,
        key,
        await this.#short(value),
      );
    }
    return await this.#config(CONFIG.setString, key, text);
  }

  /** Makes the file system and mounts it. @returns whether that worked; `log` says why not. */
  async mountAt(target: string): Promise<boolean> {
    if (!await this.#config(CONFIG.setFlag, "ro", null)) return false;
    if (!await this.#config(CONFIG.create, null, null)) return false;
    const mount = libc.fsmount(
      SYS.fsmount,
      BigInt(this.fd),
      FSMOUNT_CLOEXEC,
      MOUNT_ATTRIBUTES,
    );
    if (mount < 0) return false;
    try {
      return await callElsewhere(
        "moveMount",
        SYS.moveMount,
        BigInt(mount),
        cString(""),
        AT_FDCWD,
        cString(target),
        MOVE_MOUNT_F_EMPTY_PATH,
      ) >= 0;
    } finally {
      closeFd(mount);
    }
  }

  /** The kernel's messages since the last call, in one line; empty if there are none. */
  log(): string {
    const lines: string[] = [];
    const into = new Uint8Array(4096);
    for (;;) {
      const length = libc.read(this.fd, into, BigInt(into.length));
      if (length < 0 && lastErrno() === ERRNO.EINTR) continue;
      if (length <= 0) return lines.join("; ");
      // Each begins with its level: `e `, `w `, `i `.
      const text = new TextDecoder().decode(into.subarray(0, length));
      lines.push(text.replace(/^[ewi] /, "").trim());
    }
  }

  /** Another, short path to a directory. */
  async #short(path: string): Promise<Text> {
    const flags = O.DIRECTORY | O.CLOEXEC;
    const fd = await callElsewhere("open", cString(path), flags, 0);
    if (fd < 0) return cString(path); // the kernel says why not
    this.#open.push(fd);
    return cString(`/proc/self/fd/${fd}`);
  }

  async #config(
    command: bigint,
    key: string | null,
    value: Text | null,
  ): Promise<boolean> {
    return await callElsewhere(
      "fsconfig",
      SYS.fsconfig,
      BigInt(this.fd),
      command,
      key === null ? null : cString(key),
      value,
      0n,
    ) >= 0;
  }

  /** Drops an unfinished file system; a finished mount stays. */
  [Symbol.dispose](): void {
    closeFd(this.fd);
    for (const fd of this.#open) closeFd(fd);
  }
}
