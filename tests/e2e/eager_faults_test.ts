/** Layers that are taken whole from registries that lie, break off or hang, and pulls that are given up. */
import assert from "node:assert/strict";
import { ctrRun, pause, SmallDisk } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import {
  addBusybox,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { beginningOf, pushIndexed, ztocOfBlob } from "./forged.ts";
import { LazyHost } from "./host.ts";

const EAGER = `
[http]
MaxRetries = 1
[eager]
unindexed = ["**"]
`;
const refusal = await erofsRefusal();
const BUSYBOX = layerBlob(addBusybox(new TarBuilder()));

const layerOf = (name: string, bytes = 300_000) =>
  layerBlob(
    new TarBuilder().file(name, incompressible(bytes, name.length)),
  );

const outcomes = ({ layers }: { layers: { outcome: string }[] }) =>
  layers.map(({ outcome }) => outcome);

/** The first answer for a blob is another one. @returns how often it was asked for. */
function firstAnswer(
  registry: TestRegistry,
  { digest }: LayerBlob,
  bytes: Uint8Array<ArrayBuffer>,
  length = bytes.length,
): () => number {
  let asked = 0;
  registry.intercept = (path, { method }) => {
    if (method !== "GET" || !path.endsWith(digest) || asked++ > 0) return null;
    return new Response(bytes, {
      headers: { "content-length": String(length) },
    });
  };
  return () => asked;
}

const ingest = (host: LazyHost) => {
  try {
    return [...Deno.readDirSync(`${host.root}/ingest`)].map(({ name }) => name);
  } catch {
    return [];
  }
};

testUnless(refusal, {
  name:
    "a layer whose bytes are others is left to containerd, once; the image's other layers are shown, and it runs",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const top = layerOf("top");
    const lies: Record<string, (layer: LayerBlob) => Uint8Array<ArrayBuffer>> =
      {
        // The same size, and a good gzip of other files.
        "other files": ({ bytes }) => {
          const other = layerOf("evil!", 290_000).bytes;
          const padded = new Uint8Array(bytes.length);
          padded.set(other);
          return padded;
        },
        "no gzip": ({ bytes }) => new Uint8Array(bytes.length).fill(7),
        "one byte": ({ bytes }) => {
          const changed = new Uint8Array(bytes);
          changed[changed.length >> 1]! ^= 1;
          return changed;
        },
      };
    for (const [at, [what, lie]] of Object.entries(lies).entries()) {
      const middle = layerOf(`file-${at}`);
      const name = `lie-${at}:1`;
      await pushImage(
        registry.host,
        name,
        makeImage({ layers: [BUSYBOX, middle, top] }),
      );
      const image = `${registry.host}/${name}`;
      const asked = firstAnswer(registry, middle, lie(middle));
      const pulled = await host.pull(image);
      registry.intercept = null;
      assert.deepEqual(outcomes(pulled).slice(1), ["unpacked", "served"], what);
      assert.equal(asked(), 2, `${what}: once by the daemon, once by the pull`);
      const { stdout, stderr } = await ctrRun(host.containerd, {
        image,
        id: `lie-${at}`,
        snapshotter: "soci",
        args: ["/bin/sh", "-c", `ls / && sha256sum < /file-${at}`],
      });
      const right = sha256(incompressible(300_000, `file-${at}`.length));
      assert.ok(stdout.includes(right.slice(7)), `${what}: ${stdout}${stderr}`);
      assert.ok(!stdout.includes("evil!"), what);
      assert.match(host.logs(), /containerd unpacks it/);
    }
    assert.deepEqual(ingest(host), []);

    // The configuration says another diff ID: nobody shows such a layer.
    const wrong = { ...layerOf("wrong"), diffId: layerOf("another").diffId };
    await pushImage(
      registry.host,
      "diff-id:1",
      makeImage({ layers: [BUSYBOX, wrong] }),
    );
    await assert.rejects(
      host.pull(`${registry.host}/diff-id:1`),
      /its tar is sha256:/,
    );
    assert.match(host.logs(), /the configuration says/);

    // It breaks off, again and again.
    const short = layerOf("short", 500_000);
    await pushImage(
      registry.host,
      "short:1",
      makeImage({ layers: [BUSYBOX, short] }),
    );
    let breaks = 2;
    registry.intercept = (path, { method }) => {
      if (method !== "GET" || !path.endsWith(short.digest)) return null;
      if (breaks-- <= 0) return null;
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(short.bytes.slice(0, 1000));
            controller.error(new Error("broken"));
          },
        }),
        { headers: { "content-length": String(short.bytes.length) } },
      );
    };
    const pulled = await host.pull(`${registry.host}/short:1`);
    assert.equal(outcomes(pulled).at(-1), "unpacked");
    assert.deepEqual(ingest(host), []);
  },
});

testUnless(refusal, {
  name:
    "a pull that is given up ends its downloads, and the next one is served all the same",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const slow = layerOf("slow", 2_000_000);
    await pushImage(
      registry.host,
      "slow:1",
      // The lowest one is asked for first, so that a request waits for it.
      makeImage({ layers: [slow, BUSYBOX] }),
    );
    const image = `${registry.host}/slow:1`;
    let ended = 0;
    let begun = 0;
    registry.intercept = (path, { method }) => {
      if (method !== "GET" || !path.endsWith(slow.digest)) return null;
      begun++;
      return new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(slow.bytes.slice(0, 100_000));
          },
          cancel() {
            ended++;
          },
        }),
        { headers: { "content-length": String(slow.bytes.length) } },
      );
    };
    const child = host.startPull(image);
    for (let tries = 0; begun === 0; tries++) {
      assert.ok(tries < 200, "the download has begun");
      await pause(50);
    }
    await pause(500);
    assert.ok(ingest(host).length > 0);
    child.kill("SIGINT");
    await child.status;
    for (let tries = 0; ended < begun || ingest(host).length > 0; tries++) {
      assert.ok(tries < 300, `${ended} of ${begun} ended, ${ingest(host)}`);
      await pause(50);
    }
    registry.intercept = null;
    assert.deepEqual(outcomes(await host.pull(image)), ["served", "served"]);
  },
});

testUnless(refusal, {
  name:
    "a layer that inflates to more than the disk has room for leaves room and no file, and others are shown",
  async fn() {
    await using registry = startRegistry();
    await using disk = await SmallDisk.make("ext4", 100);
    await using host = await LazyHost.start({
      config: EAGER,
      daemon: { root: disk.root },
    });
    const bomb = layerBlob(
      new TarBuilder().file("zeros", new Uint8Array(160 * 2 ** 20)),
      { level: 1 },
    );
    await pushImage(
      registry.host,
      "bomb:1",
      makeImage({ layers: [BUSYBOX, bomb] }),
    );
    // containerd has no room either: it unpacks on the same disk.
    await assert.rejects(host.pull(`${registry.host}/bomb:1`), /space/);
    assert.match(host.logs(), /is nearly full/);
    assert.deepEqual(ingest(host), []);
    await pushImage(
      registry.host,
      "small:1",
      makeImage({ layers: [BUSYBOX, layerOf("small")] }),
    );
    const pulled = await host.pull(`${registry.host}/small:1`);
    assert.equal(outcomes(pulled).at(-1), "served");
  },
});

testUnless(refusal, {
  name:
    "an image whose index is none, or lies about its layers, is taken whole, and shows what its layers hold",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const other = ztocOfBlob(layerOf("others", 200_000).bytes);
    const cases = {
      "no-index": { ztoc: null, log: /the image is taken/ },
      "no-ztoc": { ztoc: beginningOf(other, 64), log: /ztoc cannot be used/ },
      "of-another": {
        ztoc: other,
        log: /ztoc is for \d+ bytes, the layer has/,
      },
    };
    for (const [repository, { ztoc, log }] of Object.entries(cases)) {
      const layer = layerOf(repository, 400_000);
      const { name, image } = pushIndexed(registry, repository, [
        { layer, ztoc: ztoc ?? ztocOfBlob(layer.bytes) },
        { layer: BUSYBOX, ztoc: ztocOfBlob(BUSYBOX.bytes) },
      ]);
      registry.intercept = (path) =>
        repository === "no-index" && /manifests\/sha256/.test(path) &&
          !path.endsWith(image.digest)
          ? new Response("{}", {
            headers: { "content-type": "application/vnd.oci.image.manifest" },
          })
          : null;
      const before = host.logs().length;
      const pulled = await host.pull(name);
      registry.intercept = null;
      assert.deepEqual(outcomes(pulled), ["served", "served"], repository);
      assert.match(host.logs().slice(before), log, repository);
      const { stdout, stderr } = await ctrRun(host.containerd, {
        image: name,
        id: repository,
        snapshotter: "soci",
        args: ["/bin/sh", "-c", `sha256sum < /${repository}`],
      });
      const right = sha256(incompressible(400_000, repository.length)).slice(7);
      assert.ok(stdout.includes(right), `${repository}: ${stdout}${stderr}`);
    }
    assert.deepEqual(ingest(host), []);
  },
});
