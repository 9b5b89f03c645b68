import assert from "node:assert/strict";
import { sha256 } from "../../lib/formats/oci/mod.ts";
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
import { eagerKills, LAST_PHASE } from "./eager_kills.ts";
import { LazyHost } from "./host.ts";

const refusal = await erofsRefusal();

testUnless(refusal, {
  name:
    "killed at random moments of a pull that takes an image whole, the daemon shows nothing wrong and leaves nothing",
  async fn() {
    const { violations, reader, histogram } = await eagerKills(2);
    console.log(`    ${JSON.stringify(histogram)}`);
    assert.ok(histogram[LAST_PHASE]! >= 1, "the second one aims at the end");
    assert.deepEqual(violations, []);
    assert.deepEqual([...reader.wrong, ...reader.errors], []);
    assert.ok(reader.operations > 100, `${reader.operations} operations`);
  },
});

testUnless(refusal, {
  name:
    "killed in the middle of a layer whose blob is kept, the next daemon goes on from what came, and stopped, too",
  async fn() {
    await using registry = startRegistry();
    const data = incompressible(4_000_000, 3);
    // The only layer: another one's parts would be counted, too.
    const large = layerBlob(addBusybox(new TarBuilder()).file("data", data));
    const image = `${registry.host}/half:1`;
    await pushImage(
      registry.host,
      "half:1",
      makeImage({ layers: [large] }),
    );
    await using host = await LazyHost.start({
      config: `
[content_store]
type = "containerd"
[pull_modes.parallel_pull_unpack]
enable = true
max_concurrent_downloads_per_image = 2
concurrent_download_chunk_size = "256kb"
discard_unpacked_layers = false
`,
    });
    const ingest = () => {
      try {
        return [...Deno.readDirSync(`${host.root}/ingest`)]
          .map(({ name }) => `${host.root}/ingest/${name}`);
      } catch {
        return [];
      }
    };
    const partsHere = () => {
      const list = ingest().find((path) => path.endsWith(".parts"));
      return list === undefined
        ? 0
        : Deno.readTextFileSync(list).split("\n").length - 2;
    };
    /** Ranges that were answered; a busy process may ask for one once more. */
    const given = new Set<string | null>();
    /** Those of former daemons, whose parts were there. */
    let before: typeof given = new Set();
    const twice: (string | null)[] = [];
    const giveUpTo = (parts: number, over?: Promise<void>) => {
      before = new Set(given);
      registry.intercept = async (path, request) => {
        if (!path.endsWith(large.digest)) return null;
        const range = request.headers.get("range");
        if (before.has(range)) twice.push(range);
        if (given.has(range) || given.size < parts) given.add(range);
        else await over; // as if the line hung
        return null;
      };
    };
    const pullUntil = async (parts: number, end: () => Promise<void>) => {
      const over = Promise.withResolvers<void>();
      giveUpTo(parts, over.promise);
      const child = host.startPull(image);
      for (let tries = 0; partsHere() < parts; tries++) {
        assert.ok(tries < 1000, `${partsHere()} of ${parts} parts`);
        await pause(20);
      }
      await end();
      over.resolve();
      await child.status;
    };
    await pullUntil(5, () => host.killDaemon());
    await host.startDaemon();
    await host.reconnected();
    assert.equal(partsHere(), 5);
    await pullUntil(9, () => host.stopDaemon());
    assert.equal(partsHere(), 9);
    await host.startDaemon();
    await host.reconnected();
    giveUpTo(Infinity);
    const { layers } = await host.pull(image);
    assert.ok(layers.every(({ outcome }) => outcome !== "unpacked"));
    const count = Math.ceil(large.bytes.length / 2 ** 18);
    assert.deepEqual(twice, [], "no part comes twice");
    assert.ok(given.size >= count - 1 && given.size <= count + 1);
    const { stdout, stderr } = await ctrRun(host.containerd, {
      ...{ image, id: "half", snapshotter: "soci" },
      args: ["/bin/sh", "-c", "sha256sum < /data"],
    });
    assert.ok(stdout.includes(sha256(data).slice(7)), `${stdout}${stderr}`);
    for (let tries = 0; ingest().length > 0; tries++) {
      assert.ok(tries < 100, `${ingest()} stay`);
      await pause(50);
    }
    const kept = await host.containerd.ctr("content", "ls", "-q");
    assert.ok(kept.includes(large.digest), "it is in containerd's store");
  },
});
