import assert from "node:assert/strict";
import { ctrRun } from "../support/host/mod.ts";
import { programImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

Deno.test("status tells what is served, and how much of it is here, before and after a read", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "shown:1", programImage());
  const image = `${registry.host}/shown:1`;
  await buildIndex("--min-layer-size", "0", image);
  await using host = await LazyHost.start();
  const root = ["--root", `${host.folder}/root`];
  const ask = async () => {
    const { code, stdout, stderr } = await sociDeno(
      ...["status", "--json", ...root],
    );
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };
  assert.deepEqual((await ask()).layers, []);
  const { layers } = await host.pull(image);
  const before = await ask();
  assert.equal(before.layers.length, layers.length);
  assert.equal(before.cache.bytes, 0);
  assert.equal(before.fetched.demandBytes, 0);
  await ctrRun(host.containerd, {
    image,
    id: "shown",
    snapshotter: "soci",
    args: ["/bin/busybox", "true"],
  });
  const after = await ask();
  assert.ok(after.cache.bytes > 0);
  assert.ok(after.fetched.demandBytes > 0);
  const { stdout } = await sociDeno("status", ...root);
  assert.match(stdout, /^process: +\d+, up \d+ s$/m);
  assert.match(stdout, /^ +\d+ +sha256:[0-9a-f]{12} .* \d+ %$/m);
});

Deno.test("status says that no daemon runs", async () => {
  const root = await Deno.makeTempDir({ prefix: "soci-deno-status-" });
  const { code, stderr } = await sociDeno("status", "--root", root);
  assert.equal(code, 1);
  assert.equal(stderr, `soci-deno status: no daemon runs on ${root}\n`);
  await Deno.remove(root);
});
