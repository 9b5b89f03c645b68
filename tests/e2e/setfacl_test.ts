/** `setfacl` on files of the image, as some programs do when they start. */
import assert from "node:assert/strict";
import { ctrRun, run, tryRun } from "../support/host/mod.ts";
import {
  addBusybox,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

onEveryFace(
  "setfacl in a container: at once where the face is FUSE, with EROFS after another change",
  async (face) => {
    await using registry = startRegistry();
    const name = `${registry.host}/app:1`;
    const tar = addBusybox(new TarBuilder()).dir("d")
      .file("d/first", "1").file("d/touched", "2").file("d/moded", "3");
    await pushImage(
      registry.host,
      "app:1",
      makeImage({
        layers: [layerBlob(tar)],
        config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
      }),
    );
    await buildIndex("--min-layer-size", "0", name);
    await using host = await LazyHost.start({ face });
    await host.pull(name);
    await ctrRun(host.containerd, {
      image: name,
      id: "acls",
      snapshotter: "soci",
      args: ["/bin/busybox", "sleep", "100"],
      flags: ["--detach"],
    });
    const d =
      `${host.containerd.folder}/state/io.containerd.runtime.v2.task/default/acls/rootfs/d`;
    const setfacl = (...args: string[]) => tryRun("setfacl", args);
    const named = ["-m", "u:1000:rw"];

    const first = await setfacl(...named, `${d}/first`);
    const ofFolder = await setfacl("-d", ...named, d);
    if (face === "fuse") {
      assert.equal(first.code, 0, first.stderr);
      assert.equal(ofFolder.code, 0, ofFolder.stderr);
    } else {
      assert.match(first.stderr, /Operation not supported/);
      assert.match(ofFolder.stderr, /Operation not supported/);
    }
    await run("setfacl", ["-b", `${d}/first`]);
    await run("touch", ["-c", `${d}/touched`]);
    await run("chmod", ["600", `${d}/moded`]);
    await run("chmod", ["700", d]);
    await run("setfacl", ["-d", ...named, d]);
    for (const file of ["touched", "moded"]) {
      await run("setfacl", [...named, `${d}/${file}`]);
      const { stdout } = await run("getfacl", ["-cnp", `${d}/${file}`]);
      assert.match(stdout, /^user:1000:rw-$/m);
    }
  },
);
