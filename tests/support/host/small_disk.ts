/** Disks that are small enough to be filled. @module */
import assert from "node:assert/strict";
import { tryRun } from "./command.ts";

/** Which file system. */
export type DiskKind = "tmpfs" | "ext4";

/** A small file system of its own for the daemon's root. */
export class SmallDisk implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "soci-deno-small-" });
  readonly root = `${this.folder}/root`;
  readonly #image = Deno.makeTempFileSync({ prefix: "soci-deno-image-" });

  static async make(kind: DiskKind, mib: number): Promise<SmallDisk> {
    const disk = new SmallDisk();
    if (kind === "tmpfs") {
      await disk.#run("mount", "-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs");
      return disk;
    }
    await Deno.truncate(disk.#image, mib * 2 ** 20);
    const { code, stderr } = await tryRun("mkfs.ext4", [
      ...["-q", "-F", "-m", "0", disk.#image],
    ]);
    assert.equal(code, 0, stderr);
    // The journal is written when something is synced, and seldom else.
    await disk.#run("mount", "-o", "loop,commit=600", disk.#image);
    return disk;
  }

  /** What an ext4 disk would hold if the machine lost power now: another disk, after its journal was replayed. */
  async afterPowerLoss(): Promise<SmallDisk> {
    const disk = new SmallDisk();
    const { code, stderr } = await tryRun("cp", [
      ...["--sparse=always", this.#image, disk.#image],
    ]);
    assert.equal(code, 0, stderr);
    await disk.#run("mount", "-o", "loop", disk.#image);
    return disk;
  }

  async #run(program: string, ...args: string[]): Promise<void> {
    const { code, stderr } = await tryRun(program, [...args, this.folder]);
    assert.equal(code, 0, stderr);
  }

  readOnly(): Promise<void> {
    return this.#run("mount", "-o", "remount,ro");
  }

  writable(): Promise<void> {
    return this.#run("mount", "-o", "remount,rw");
  }

  /** Takes every block, also those that become free in between. */
  async fill(): Promise<void> {
    for (const [name, size] of [["filler", "64k"], ["last", "512"]] as const) {
      await tryRun("dd", [
        "if=/dev/zero",
        `of=${this.folder}/${name}`,
        `bs=${size}`,
        ...["oflag=append", "conv=notrunc"],
      ], { timeoutMs: 30_000 });
    }
    const probe = `${this.folder}/probe`;
    assert.throws(() => Deno.writeFileSync(probe, new Uint8Array(65_536)));
    Deno.removeSync(probe);
  }

  /** Gives back what \`fill\` took. */
  free(): void {
    for (const name of ["filler", "last"]) {
      Deno.removeSync(`${this.folder}/${name}`);
    }
  }

  /** KiB in use by the layers' folders. */
  async used(): Promise<number> {
    const { stdout } = await tryRun("du", ["-sk", `${this.root}/layers`]);
    return Number(stdout.split("\t")[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryRun("umount", ["-l", this.folder]);
    await Deno.remove(this.folder, { recursive: true });
    await Deno.remove(this.#image);
  }
}
