/** What of images needs compressed layers in containerd's store: export, and a commit of a container. */
import assert from "node:assert/strict";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { ctrRun, run } from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[eager]
unindexed = ["**"]
`;
const DATA = incompressible(6_000_000, 4);

testUnless(await erofsRefusal(), {
  name:
    "of an image that was taken whole, and of one that is read lazily, a container's changes are committed right, and the image is exported after content fetch alone",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: CONFIG });
    for (const kind of ["whole", "lazy"]) {
      const data = layerBlob(
        new TarBuilder().dir("data").file("data/large", DATA)
          .file("data/gone", "gone").file(`data/${kind}`, kind),
      );
      const busybox = layerBlob(addBusybox(new TarBuilder()));
      const name = `${registry.host}/${kind}:1`;
      await pushImage(
        registry.host,
        `${kind}:1`,
        makeImage({ layers: [data, busybox] }),
      );
      if (kind === "lazy") {
        await buildIndex(
          ...["--min-layer-size", "0", "--span-size", "256KiB", name],
        );
      }
      await host.pull(name);
      const { containerd } = host;
      const ran = await ctrRun(containerd, {
        ...{ image: name, id: kind, snapshotter: "soci" },
        flags: ["--detach"],
        args: [
          ...["/bin/sh", "-c"],
          "echo new > /data/new; rm /data/gone; sleep 1000",
        ],
      });
      assert.equal(ran.code, 0, ran.stderr);
      registry.requests.length = 0;
      // As a commit does: containerd compares the container with its image.
      const { stdout: changed } = await run("sh", [
        ...[
          "-ec",
          'ctr -a "$0" snapshots --snapshotter soci diff "$1" | tar -tz',
        ],
        ...[containerd.address, kind],
      ], { timeoutMs: 120_000 });
      const names = changed.trim().split("\n").filter((one) =>
        /data/.test(one)
      );
      assert.deepEqual(names.sort(), ["data/", "data/.wh.gone", "data/new"]);
      const came = registry.requests
        .filter(({ path }) => path.endsWith(data.digest))
        .reduce((sum, { bytes }) => sum + bytes, 0);
      if (kind === "whole") assert.equal(came, 0);
      else {assert.ok(
          came > 0.9 * DATA.length,
          `${came} bytes: all of it is read`,
        );}
      await containerd.ctr("tasks", "kill", "--signal", "SIGKILL", kind);
      const refused = await containerd.tryCtr(
        ["images", "export", "/dev/null", name],
        { timeoutMs: 60_000 },
      );
      assert.notEqual(refused.code, 0, "its layers are not there");
      const fetched = await sociDeno(
        ...["content", "fetch", "--address", containerd.address, name],
      );
      assert.equal(fetched.code, 0, fetched.stderr);
      const archive = `${host.folder}/${kind}.tar`;
      await containerd.ctr("images", "export", archive, name);
      const { stdout } = await run("tar", ["--list", "--file", archive]);
      assert.ok(stdout.includes(data.digest.slice(7)));
    }
  },
});
