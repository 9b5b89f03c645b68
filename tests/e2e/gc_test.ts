import assert from "node:assert/strict";
import { ctrRun } from "../support/host/mod.ts";
import { programImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[cache]
keep_removed = true
`;
const PYTHON = ["/usr/bin/python3", "/app/main.py"];

Deno.test("layers of removed images are kept on request, used again, and collected by gc while no daemon runs", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "kept:1", programImage());
  const image = `${registry.host}/kept:1`;
  await buildIndex("--min-layer-size", "0", image);
  await using host = await LazyHost.start({ config: CONFIG });
  const layers = () => [...Deno.readDirSync(`${host.folder}/root/layers`)];
  const run = async (id: string) => {
    const { code, stderr } = await ctrRun(host.containerd, {
      image,
      id,
      snapshotter: "soci",
      args: PYTHON,
    });
    assert.equal(code, 0, `${stderr}\n${host.logs()}`);
  };
  await host.pull(image);
  await run("first");
  await host.removeImages(image);
  assert.equal(layers().length, 4);

  await host.stopDaemon();
  await host.startDaemon();
  await host.reconnected();
  assert.equal(layers().length, 4, "also over a restart");
  await host.pull(image);
  registry.requests.length = 0;
  await run("second");
  assert.equal(
    registry.requests.filter(({ range }) => range != null).length,
    0,
    "nothing is fetched again",
  );

  const root = ["--root", `${host.folder}/root`];
  const running = await sociDeno("gc", ...root);
  assert.equal(running.code, 1);
  assert.match(running.stderr, /stop it first/);
  await host.stopDaemon();
  const inUse = await sociDeno("gc", "--json", ...root);
  assert.equal(JSON.parse(inUse.stdout).layers, 0, inUse.stderr);
  assert.equal(layers().length, 4);

  await host.startDaemon();
  await host.reconnected();
  await host.removeImages(image);
  await host.stopDaemon();
  const unused = await sociDeno("gc", "--json", ...root);
  const { layers: removed, bytes } = JSON.parse(unused.stdout);
  assert.equal(removed, 4, unused.stderr);
  assert.ok(bytes > 1e6);
  assert.equal(layers().length, 0);
});
