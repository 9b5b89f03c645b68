/** `soci-deno mount` and `umount`: an image as a directory, without containerd. */
import assert from "node:assert/strict";
import { run } from "../support/host/mod.ts";
import { programImage, pushImage } from "../support/images/mod.ts";
import { readInSteps } from "../support/compare/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { incompressible } from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";
import { Mounted } from "./mounted.ts";

function runProgram({ directory }: Mounted): Promise<{ stdout: string }> {
  return run(
    "timeout",
    [
      ...["60", "chroot", directory],
      ...["/usr/bin/python3", "/app/main.py"],
    ],
    { timeoutMs: 70_000 },
  );
}

async function program(registry: TestRegistry): Promise<string> {
  await pushImage(registry.host, "program:1", programImage());
  return `${registry.host}/program:1`;
}

Deno.test("an indexed image is mounted, a program in it runs from ranges, umount ends it", async () => {
  await using registry = startRegistry();
  const image = await program(registry);
  await buildIndex("--min-layer-size", "0", "--span-size", "2MiB", image);
  const before = registry.bytesServed();
  await using mounted = await Mounted.start(image);
  const ready = registry.bytesServed() - before;
  assert.ok(ready < 3e6, `${ready} bytes fetched before anything was read`);
  assert.match((await runProgram(mounted)).stdout, /"sum": 5050/);
  await assert.rejects(Deno.writeTextFile(`${mounted.directory}/new`, "x"));
  const { code, stderr } = await sociDeno("umount", mounted.directory);
  assert.equal(code, 0, stderr);
  await mounted.ended();
  assert.deepEqual([...Deno.readDirSync(mounted.directory)], []);
});

Deno.test("an image without an index is mounted too, and Ctrl-C or the terminal's end unmounts it", async () => {
  await using registry = startRegistry();
  const image = await program(registry);
  for (const signal of ["SIGINT", "SIGHUP"] as const) {
    await using mounted = await Mounted.start(image);
    assert.match(mounted.process.logs(), /it has no index: fetched whole/);
    assert.match((await runProgram(mounted)).stdout, /"sum": 5050/);
    Deno.kill(mounted.process.pid, signal);
    await mounted.ended();
    assert.deepEqual([...Deno.readDirSync(mounted.directory)], []);
  }
});

onEveryFace(
  "readers of a killed process get errors, and no byte that is not the image's",
  async (face) => {
    await using registry = startRegistry();
    const image = await program(registry);
    await buildIndex("--min-layer-size", "0", "--span-size", "2MiB", image);
    await using mounted = await Mounted.start(image, face);
    const path = `${mounted.directory}/app/data/random`;
    const wanted = incompressible(8 * 2 ** 20);
    const before = await readInSteps(path, 2 ** 20);
    assert.equal(before.errors, 0);
    mounted.process.kill("SIGKILL");
    await mounted.process.ended;
    // What the kernel has is right, what it has forgotten is an error.
    for (const drop of ["0", "3"]) {
      if (drop !== "0") {
        await Deno.writeTextFile("/proc/sys/vm/drop_caches", drop);
      }
      const { errors, bytes } = await readInSteps(path, 4096);
      const wrong = bytes.findIndex((byte, at) =>
        byte !== wanted[at] && byte !== 0xee
      );
      assert.equal(wrong, -1, `byte ${wrong} is ${bytes[wrong]}`);
      if (drop !== "0") assert.ok(errors > 0);
    }
    await mounted.detach();
  },
);

Deno.test("umount says that nothing is mounted there", async () => {
  const directory = await Deno.makeTempDir({ prefix: "soci-deno-mount-" });
  const { code, stderr } = await sociDeno("umount", directory);
  assert.equal(code, 1);
  assert.match(stderr, /nothing is mounted at/);
  await Deno.remove(directory);
});

Deno.test("an image that is not there, and a registry that is not there, are said in one line", async () => {
  await using registry = startRegistry();
  const directory = await Deno.makeTempDir({ prefix: "soci-deno-mount-" });
  for (const image of [`${registry.host}/none:1`, "127.0.0.1:1/none:1"]) {
    const { code, stderr } = await sociDeno(
      ...["mount", "--root", `${directory}/root`, image, directory],
    );
    assert.equal(code, 1);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.match(stderr, /none/);
  }
  await Deno.remove(directory, { recursive: true });
});
