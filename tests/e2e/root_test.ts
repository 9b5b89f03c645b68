/** One folder is one root, however it is written and from wherever the command is called. */
import assert from "node:assert/strict";
import { relative } from "node:path";
import { ctrRun, leftovers, tryRun } from "../support/host/mod.ts";
import {
  checkedImage,
  pushImage,
  readCheckReport,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";
import { sociDenoCommand } from "../support/host/mod.ts";

/** Ways to write a root that does not exist yet, below a folder that does. */
const WAYS: Record<string, (folder: string) => string> = {
  "a relative path": (folder) => relative(Deno.cwd(), `${folder}/root`),
  "a link above it": (folder) => {
    Deno.mkdirSync(`${folder}/real`);
    Deno.symlinkSync("real", `${folder}/link`);
    return `${folder}/link/root`;
  },
  "a link to it": (folder) => {
    Deno.mkdirSync(`${folder}/real`);
    Deno.symlinkSync(`${folder}/real`, `${folder}/link`);
    return `${folder}/link/`;
  },
  "dots and doubled slashes": (folder) => `${folder}/.//none/../root/`,
};

for (const [name, way] of Object.entries(WAYS)) {
  Deno.test(`a root that is written as ${name} is served again after a kill, and stopped`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-root-" });
    await using registry = startRegistry();
    const image = `${registry.host}/checked:1`;
    await pushImage(registry.host, "checked:1", checkedImage());
    await buildIndex("--min-layer-size", "0", image);
    const root = way(folder);
    const mounts = () =>
      leftovers(folder).mounts.filter((path) => /\/fs\/[nx]$/.test(path));
    {
      await using host = await LazyHost.start({ daemon: { root } });
      await host.reconnected();
      await host.pull(image);
      await host.killDaemon();
      await host.startDaemon();
      assert.match(host.logs(), /mounts taken over/);
      assert.doesNotMatch(host.logs(), /mounting anew/);
      assert.equal(mounts().length, 2);
      await host.reconnected();
      const { stdout, stderr } = await ctrRun(host.containerd, {
        image,
        id: `root-${crypto.randomUUID()}`,
        snapshotter: "soci",
        args: ["/usr/bin/python3", "/app/check.py", "", "1"],
      });
      assert.equal(readCheckReport(stdout).failures, 0, stderr);
      await host.killDaemon();
      // Now from another folder, by the variable.
      const { program, args } = sociDenoCommand("stop");
      const stopped = await tryRun(program, args, {
        cwd: folder,
        env: {
          SOCI_SNAPSHOTTER_ROOT: root.startsWith("/")
            ? root
            : relative(folder, `${folder}/root`),
        },
      });
      assert.equal(stopped.code, 0, stopped.stderr);
      assert.match(stopped.stdout, /its mounts are gone/);
      assert.deepEqual(leftovers(folder).mounts, []);
    }
    assert.deepEqual(leftovers(folder).mounts, []);
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("a root that cannot be meant is wrong usage in every command that has one", async () => {
  const lines = [
    ["serve"],
    ["stop"],
    ["status"],
    ["gc"],
    ["index", "list"],
    ["mount", "registry.example/a:1", "/mnt"],
  ];
  for (const line of lines) {
    for (const root of ["", "/"]) {
      const { code, stderr } = await sociDeno(...line, "--root", root);
      assert.equal(code, 2, `${line.join(" ")} --root "${root}": ${stderr}`);
      assert.match(stderr, /--root/);
    }
  }
});
