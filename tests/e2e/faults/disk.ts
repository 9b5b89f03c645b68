/** Disks that break: an ext4 file system of its own on a loop device. @module */
import { run, tryRun } from "../../support/host/mod.ts";

/** A small disk, mounted. */
export class BreakableDisk implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly mountpoint: string,
    readonly device: string,
  ) {}

  /** Makes and mounts it; its bytes are in memory. */
  static async make(): Promise<BreakableDisk> {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-disk-" });
    const mountpoint = `${folder}/mnt`;
    await Deno.mkdir(mountpoint);
    await Deno.mkdir(`${folder}/memory`);
    await run("mount", [
      "-t",
      "tmpfs",
      "-o",
      "size=600m",
      "tmpfs",
      `${folder}/memory`,
    ]);
    const backing = `${folder}/memory/disk`;
    await Deno.writeFile(backing, new Uint8Array());
    await Deno.truncate(backing, 400 * 2 ** 20);
    const { stdout } = await run("losetup", ["--show", "--find", backing]);
    const device = stdout.trim();
    await run("mkfs.ext4", ["-q", "-E", "lazy_itable_init=0", device]);
    await run("mount", ["-o", "errors=remount-ro", device, mountpoint]);
    return new BreakableDisk(folder, mountpoint, device);
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
    await Deno.truncate(`${this.folder}/memory/disk`, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryRun("umount", ["-l", this.mountpoint], { timeoutMs: 10_000 });
    await tryRun("losetup", ["-d", this.device], { timeoutMs: 10_000 });
    await tryRun("umount", ["-l", `${this.folder}/memory`], {
      timeoutMs: 10_000,
    });
    await Deno.remove(this.folder, { recursive: true });
  }
}
