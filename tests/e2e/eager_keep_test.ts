/** What stays of an image that was taken whole, when it is removed: the index that it got in passing. */
import assert from "node:assert/strict";
import { ctrRun, pause } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
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
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { LazyHost } from "./host.ts";

const SIZE = 24e6;

testUnless(await erofsRefusal(), {
  name:
    "an image that was taken whole and removed gives up its bytes when others need them, and comes back lazily, also after a restart; with index_missing off it is taken whole again",
  async fn() {
    await using registry = startRegistry();
    const busybox = layerBlob(addBusybox(new TarBuilder()));
    const bytes = [1, 2].map((seed) => incompressible(SIZE, seed));
    const layers = bytes.map((data) =>
      layerBlob(new TarBuilder().file("data", data))
    );
    const names = ["first", "second"].map((name) =>
      `${registry.host}/${name}:1`
    );
    for (const [at, layer] of layers.entries()) {
      const image = makeImage({ layers: [busybox, layer] });
      await pushImage(registry.host, ["first:1", "second:1"][at]!, image);
    }
    for (const missing of ["keep", "off"]) {
      await using host = await LazyHost.start({
        config: `
[background_fetch]
disable = true
[cache]
keep_removed = true
max_bytes = 40000000
[eager]
unindexed = ["**"]
index_missing = "${missing}"
`,
      });
      const [first, second] = names as [string, string];
      const head = async (image: string, at: number) => {
        const { stdout, stderr } = await ctrRun(host.containerd, {
          ...{ image, id: `keep-${crypto.randomUUID()}`, snapshotter: "soci" },
          args: ["/bin/sh", "-c", "head -c 1000000 /data | sha256sum"],
        });
        const right = sha256(bytes[at]!.subarray(0, 1_000_000)).slice(7);
        assert.ok(stdout.includes(right), `${stdout}${stderr}`);
      };
      const came = () =>
        registry.requests.splice(0)
          .filter(({ path }) => path.endsWith(layers[0]!.digest))
          .reduce((sum, { bytes }) => sum + bytes, 0);
      await host.pull(first);
      await head(first, 0);
      assert.ok(came() >= layers[0]!.bytes.length);
      await host.removeImages(first);
      await host.pull(second);
      await head(second, 1);
      await host.removeImages(second);
      const dataOf = () =>
        [...Deno.readDirSync(`${host.root}/layers`)].flatMap(({ name }) => {
          try {
            return Deno.statSync(`${host.root}/layers/${name}/data`).size;
          } catch {
            return [];
          }
        });
      for (
        let tries = 0;
        dataOf().filter((it) => it > 1e7).length > 1;
        tries++
      ) {
        assert.ok(tries < 300, `${dataOf()} bytes stay`);
        await pause(100);
      }
      await host.stopDaemon();
      await host.startDaemon();
      await host.reconnected();
      registry.requests.length = 0;
      await host.pull(first);
      await head(first, 0);
      const again = came();
      if (missing === "off") assert.ok(again >= layers[0]!.bytes.length);
      else assert.ok(again > 0 && again < SIZE / 2, `${again} bytes came`);
    }
  },
});
