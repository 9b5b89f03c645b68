/** State that is lost or damaged while no daemon runs: it is told, and no container reads a wrong byte. */
import assert from "node:assert/strict";
import { ctrRun } from "../support/host/mod.ts";
import { readCheckReport } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { hostWithImage } from "./checked_host.ts";
import type { LazyHost } from "./host.ts";

type Damage = (path: string) => void;

const lost: Damage = (path) => {
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.removeSync(`${path}${suffix}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
};
const truncated: Damage = (path) => {
  Deno.truncateSync(path, Math.floor(Deno.statSync(path).size / 2));
};
const flipped: Damage = (path) => {
  const bytes = Deno.readFileSync(path);
  for (let at = 66; at < bytes.length; at += 97) bytes[at]! ^= 0x15;
  Deno.writeFileSync(path, bytes);
};

/** By file: whether a loss, a cut and a flip are told; what is made again without a word is not. */
const FILES: readonly [
  path: string,
  told: readonly [boolean, boolean, boolean],
][] = [
  ["slots.db", [true, true, true]],
  ["slot-mark", [true, true, true]],
  ["layers/*/slot", [false, true, true]],
  ["layers/*/spans", [false, true, true]],
  ["layers/*/tree", [false, false, false]],
  ["layers/*/headers", [false, false, false]],
  ["layers/*/diff-id", [false, true, true]],
];

function pathsOf(host: LazyHost, pattern: string): string[] {
  const [folder = "", file] = pattern.split("/*/");
  if (file === undefined) return [`${host.root}/${pattern}`];
  return [...Deno.readDirSync(`${host.root}/${folder}`)]
    .map(({ name }) => `${host.root}/${folder}/${name}/${file}`);
}

/** What a container that is started now finds wrong, past the kernel's cache. */
async function wrongFiles(host: LazyHost, image: string) {
  await Deno.writeTextFile("/proc/sys/vm/drop_caches", "1");
  const { stdout } = await ctrRun(host.containerd, {
    image,
    id: `loss-${crypto.randomUUID()}`,
    snapshotter: "soci",
    args: ["/usr/bin/python3", "/app/check.py", "", "1"],
  });
  const { wrong, errors, operations } = readCheckReport(stdout);
  assert.ok(operations > 0);
  return { wrong, errors };
}

Deno.test("whichever state file is lost, truncated or flipped, containers read right bytes, and the log tells of it", async () => {
  await using registry = startRegistry();
  const { host, image } = await hostWithImage(registry);
  await using _host = host;
  const right = { wrong: [], errors: [] };
  assert.deepEqual(await wrongFiles(host, image), right);
  for (const [pattern, told] of FILES) {
    for (const [at, damage] of [lost, truncated, flipped].entries()) {
      await host.killDaemon();
      for (const path of pathsOf(host, pattern)) damage(path);
      const log = `${host.folder}/daemon.log`; // a killed daemon has no other
      const before = Deno.readTextFileSync(log).length;
      await host.startDaemon();
      const what = `${pattern} ${damage.name}`;
      const line = /state on disk was lost or damaged/.test(
        Deno.readTextFileSync(log).slice(before),
      );
      assert.equal(line, told[at], what);
      await host.reconnected();
      assert.deepEqual(await wrongFiles(host, image), right, what);
    }
  }
});
