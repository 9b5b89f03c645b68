/** Disks that break: an ext4 file system of its own on a loop device. @module */
import { run, tryRun } from "../../support/host/mod.ts";

const MIB = 2 ** 20;
/** `linux/memfd.h`, `linux/fcntl.h`. */
const MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033, F_SEAL_GROW = 4;

/** A small disk, mounted. */
export class BreakableDisk implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly mountpoint: string,
    readonly device: string,
    readonly backing: SealedMemory,
  ) {}

  /** Makes and mounts it; its bytes are in memory. */
  static async make(): Promise<BreakableDisk> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-disk-" });
    const mountpoint = `${folder}/mnt`;
    await Deno.mkdir(mountpoint);
    const backing = new SealedMemory(400 * MIB);
    const { stdout } = await run("losetup", ["--show", "--find", backing.path]);
    const device = stdout.trim();
    await run("mkfs.ext4", ["-q", "-E", "lazy_itable_init=0", device]);
    await run("mount", ["-o", "errors=remount-ro", device, mountpoint]);
    return new BreakableDisk(folder, mountpoint, device, backing);
  }

  /** Leaves no block free. */
  async fill(): Promise<void> {
    // It fails when nothing is left, and that is what is wanted.
    await tryRun("dd", [
      ...["if=/dev/zero", `of=${this.mountpoint}/filler`, "bs=64k"],
      "conv=fsync",
    ], { timeoutMs: 30_000 });
    await tryRun("dd", [
      ...["if=/dev/zero", `of=${this.mountpoint}/last`, "bs=512"],
    ], { timeoutMs: 30_000 });
  }

  /** What the kernel does on its own when it meets an error: nothing can be written any more. */
  async turnReadOnly(): Promise<void> {
    const name = this.device.split("/").at(-1);
    await Deno.writeTextFile(
      `/sys/fs/ext4/${name}/trigger_fs_error`,
      "soci-deno test",
    );
  }

  /**
   * Every block gives an I/O error when it is read from now on, but for directories and those of the
   * files to keep.
   * @param keep a pattern of the shell, below the mountpoint.
   */
  async loseBlocks(keep: string): Promise<void> {
    await run("sh", ["-c", "sync; echo 1 > /proc/sys/vm/drop_caches"]);
    const warm =
      `cd ${this.mountpoint}; ls -lR root/snapshotter root/layers && cat ${keep}`;
    await run("sh", ["-c", `{ ${warm}; } > /dev/null`]);
    this.backing.shrink(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryRun("umount", ["-l", this.mountpoint], { timeoutMs: 10_000 });
    await tryRun("losetup", ["-d", this.device], { timeoutMs: 10_000 });
    this.backing[Symbol.dispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/**
 * A file in memory that can shrink and never grow: what lies behind its end fails, reading and writing.
 * An ordinary file would be made longer by the first write behind its end, by the file system's journal
 * for one, and give zeros for all that was before it.
 */
class SealedMemory implements Disposable {
  readonly #libc = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    ftruncate: { parameters: ["i32", "i64"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  readonly #fd: number;

  constructor(bytes: number) {
    const { memfd_create, ftruncate, fcntl } = this.#libc.symbols;
    const name = new TextEncoder().encode("disk\0");
    this.#fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (
      this.#fd < 0 || ftruncate(this.#fd, BigInt(bytes)) !== 0 ||
      fcntl(this.#fd, F_ADD_SEALS, F_SEAL_GROW) !== 0
    ) {
      throw new Error("the kernel gives no sealed memory");
    }
  }

  /** For others too, until it is disposed of. */
  get path(): string {
    return `/proc/${Deno.pid}/fd/${this.#fd}`;
  }

  shrink(bytes: number): void {
    if (this.#libc.symbols.ftruncate(this.#fd, BigInt(bytes)) !== 0) {
      throw new Error("the memory does not shrink");
    }
  }

  [Symbol.dispose](): void {
    this.#libc.symbols.close(this.#fd);
    this.#libc.close();
  }
}
