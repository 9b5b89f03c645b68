/** A disk that is full, or takes no writes: starting, taking over, stopping and removing work on it. */
import assert from "node:assert/strict";
import { leftovers, tryRun } from "../support/host/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { hostWithImage, readsRight } from "./checked_host.ts";
import { sociDeno } from "./host.ts";

/** A small file system of its own for the daemon's root. */
class SmallDisk implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "soci-deno-small-" });
  readonly root = `${this.folder}/root`;

  static async make(mib: number): Promise<SmallDisk> {
    const disk = new SmallDisk();
    await disk.#mount("-t", "tmpfs", "-o", `size=${mib}m`, "tmpfs");
    return disk;
  }

  async #mount(...args: string[]): Promise<void> {
    const { code, stderr } = await tryRun("mount", [...args, this.folder]);
    assert.equal(code, 0, stderr);
  }

  readOnly(): Promise<void> {
    return this.#mount("-o", "remount,ro");
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
  }

  /** 1 KiB blocks in use below the root. */
  async used(): Promise<number> {
    const { stdout } = await tryRun("du", ["-sk", `${this.root}/layers`]);
    return Number(stdout.split("\t")[0]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await tryRun("umount", ["-l", this.folder]);
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function hostOn(disk: SmallDisk, registry: TestRegistry) {
  const made = await hostWithImage(registry, { root: disk.root });
  assert.ok(await readsRight(made.host, made.image));
  return made;
}

Deno.test("on a full disk a daemon starts after a kill and after a stop, is taken over, and images that are removed free their bytes", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make(300);
  const { host, image } = await hostOn(disk, registry);
  await using _host = host;
  assert.equal(Deno.statSync(`${disk.root}/reserve`).size, 4 * 2 ** 20);
  await disk.fill();
  await host.killDaemon();
  await host.startDaemon();
  await disk.fill();
  await host.stopDaemon();
  await disk.fill();
  await host.startDaemon();
  await disk.fill();
  await host.takeOver();
  await host.reconnected();
  assert.ok((await disk.used()) > 500);
  await disk.fill();
  await host.removeImages(image);
  for (let tries = 0; tries < 50 && (await disk.used()) > 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok((await disk.used()) < 100, `${await disk.used()} KiB stay`);
  assert.equal(host.logs().match(/mounts taken over/g)?.length, 3);
});

Deno.test("on a read-only disk a daemon starts, says so, serves what is there, is taken over and stopped", async () => {
  await using registry = startRegistry();
  await using disk = await SmallDisk.make(300);
  const { host, image } = await hostOn(disk, registry);
  await using _host = host;
  await host.killDaemon();
  await disk.readOnly();
  await host.startDaemon();
  assert.match(host.logs(), /the disk is read-only/);
  await host.reconnected().catch(() => {}); // no snapshot can be made there
  const served = [...Deno.readDirSync(`${disk.root}/layers`)].length;
  const { code, stdout } = await sociDeno(
    ...["status", "--json", "--root", disk.root],
  );
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).layers.length, served);
  const { pid } = host;
  await host.takeOver();
  assert.notEqual(host.pid, pid);
  await host.killDaemon();
  const stopped = await sociDeno("stop", "--root", disk.root);
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.deepEqual(leftovers(disk.root).mounts, []);
  void image;
});
