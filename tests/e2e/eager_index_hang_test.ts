/** A registry that hangs when an index is pushed to it. */
import assert from "node:assert/strict";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { ctrRun, pause } from "../support/host/mod.ts";
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
import { LazyHost } from "./host.ts";

const PUSHING = `
[eager]
unindexed = ["**"]
index_missing = "push"
`;

testUnless(await erofsRefusal(), {
  name:
    "while a registry takes no byte of an index, other images are pulled and run, and the daemon stops",
  async fn() {
    await using registry = startRegistry();
    const busybox = layerBlob(addBusybox(new TarBuilder()));
    for (const [at, name] of ["one", "two"].entries()) {
      const layer = layerBlob(
        new TarBuilder().file("data", incompressible(11 * 2 ** 20, at + 1)),
      );
      const image = makeImage({ layers: [layer, busybox] });
      await pushImage(registry.host, `${name}:1`, image);
    }
    let hanging = 0;
    registry.intercept = (_, { method }) => {
      if (method === "GET" || method === "HEAD") return null;
      hanging++;
      return new Promise<Response>(() => {});
    };
    await using host = await LazyHost.start({ config: PUSHING });
    await host.pull(`${registry.host}/one:1`);
    for (let tries = 0; hanging === 0; tries++) {
      assert.ok(tries < 300, "an index is pushed");
      await pause(100);
    }
    const image = `${registry.host}/two:1`;
    const { layers } = await host.pull(image);
    assert.deepEqual(layers.map(({ outcome }) => outcome), [
      ...["served", "served"],
    ]);
    const { code, stderr } = await ctrRun(host.containerd, {
      ...{ image, id: "hang", snapshotter: "soci" },
      args: ["/bin/sh", "-c", "head -c 1000000 /data > /dev/null"],
    });
    assert.equal(code, 0, stderr);
    assert.equal(hanging, 1, "the second one waits for its turn");
    const stopped = host.stopDaemon();
    const late = pause(20_000).then(() => "late");
    assert.equal(await Promise.race([stopped, late]), undefined);
    assert.doesNotMatch(host.logs(), /index is not pushed/);
  },
});
