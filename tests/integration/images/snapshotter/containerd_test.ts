import assert from "node:assert/strict";
import {
  connectContainerd,
  type Containerd,
  isRpcError,
} from "../../../../lib/remote/containerd/mod.ts";
import {
  type LayerProvider,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import { NO_LAYERS } from "../../../../lib/images/snapshotter/provider.ts";
import { TARGET_LABEL } from "../../../../lib/images/snapshotter/types.ts";
import { streamBlob } from "../../../../lib/remote/containerd/blob_stream.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { incompressible, joinBytes } from "../../../support/images/mod.ts";
import { serveAt } from "../../../unit/images/snapshotter/support.ts";
import { startContainerd, type TestContainerd } from "./containerd.ts";
import { descriptor, ociArchive, smallImage } from "./image.ts";

/** Keeps a snapshot from containerd's garbage collector, which runs whenever it likes. */
const KEEP = { "containerd.io/gc.root": "test" };
const NAME = "registry.example/small:1";
const IMAGE = smallImage([
  [["etc/"], ["etc/a", "1"], ["etc/b", "1"]],
  [["etc/"], ["etc/.wh.a", ""], ["etc/b", "2"]],
]);

/** Everything a test works with. */
interface Parts {
  readonly folder: string;
  readonly containerd: TestContainerd;
  readonly client: Containerd;
  readonly snapshotter: Snapshotter;
}

/** A real containerd whose snapshotter `soci` is ours, served from this process. */
async function withContainerd(
  provider: LayerProvider,
  use: (parts: Parts) => Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  try {
    const address = `${folder}/soci.sock`;
    await using snapshotter = await Snapshotter.open({
      root: `${folder}/soci`,
      provider,
    });
    await using _service = await serveAt(address, snapshotter);
    await using containerd = await startContainerd(folder, address);
    using client = await connectContainerd(containerd.address, {
      namespace: "tests",
    });
    await use({ folder, containerd, client, snapshotter });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** Waits for what containerd does in its own time. */
async function eventually(check: () => void): Promise<void> {
  const deadline = Date.now() + 8_000;
  for (;;) {
    try {
      return check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

Deno.test("ctr makes, labels, commits, measures and removes snapshots", () =>
  withContainerd(NO_LAYERS, async ({ containerd }) => {
    const ctr = (...args: string[]) =>
      containerd.ctr("snapshots", "--snapshotter", "soci", ...args);
    await ctr("prepare", "key");
    assert.match(await ctr("mounts", "/mnt", "key"), /mount -t bind/);
    await ctr("commit", "base", "key");
    await ctr("prepare", "run", "base");
    assert.match(await ctr("mounts", "/mnt", "run"), /overlay.*lowerdir=/);
    await ctr("label", "base", "colour=green");
    assert.match(await ctr("info", "base"), /"colour": "green"/);
    const list = await ctr("ls");
    assert.match(list, /^base +Committed/m);
    assert.match(list, /^run +base +Active/m);
    assert.match(await ctr("usage", "run"), /^run +[\d.]+ [KMi]*B +1/m);
    await ctr("rm", "run");
    await ctr("rm", "base");
    assert.doesNotMatch(await ctr("ls"), /base/);
  }));

Deno.test("an imported image is unpacked into our snapshots and goes with its name", () =>
  withContainerd(NO_LAYERS, async ({ folder, containerd, ...parts }) => {
    const { client, snapshotter } = parts;
    const archive = `${folder}/image.tar`;
    Deno.writeFileSync(archive, ociArchive(IMAGE, NAME));
    await containerd.ctr("images", "import", "--snapshotter", "soci", archive);

    const names: string[] = [];
    for await (const { name } of client.snapshots.list(["kind==committed"])) {
      names.push(name);
    }
    assert.deepEqual(names.sort(), [...IMAGE.chainIds].sort());
    const [mount] = await client.snapshots.prepare("run", IMAGE.chainIds[1]!, {
      labels: KEEP,
    });
    const at = `${folder}/mnt`;
    Deno.mkdirSync(at);
    const run = (program: string, ...args: string[]) =>
      new Deno.Command("timeout", { args: ["10", program, ...args] })
        .outputSync();
    const options = mount!.options.join();
    assert.ok(
      run("mount", "-t", "overlay", "overlay", at, "-o", options).success,
    );
    try {
      assert.deepEqual(
        [...Deno.readDirSync(`${at}/etc`)].map(({ name }) => name),
        ["b"],
      );
      assert.equal(Deno.readTextFileSync(`${at}/etc/b`), "2");
    } finally {
      run("umount", at);
    }

    await client.snapshots.remove("run");
    await client.images.delete(NAME, { collect: true });
    await eventually(() => {
      assert.deepEqual(snapshotter.list(), []);
      assert.deepEqual(
        [...Deno.readDirSync(`${folder}/soci/snapshotter/snapshots`)],
        [],
      );
    });
  }));

Deno.test("containerd takes a layer that we serve lazily for unpacked, in each namespace", async () => {
  const shown = Deno.makeTempDirSync();
  const [layer] = IMAGE.layers;
  const [chainId] = IMAGE.chainIds;
  const provider: LayerProvider = {
    ...NO_LAYERS,
    prepareLayer: () =>
      Promise.resolve({
        directory: shown,
        owner: { uid: 0, gid: 0 },
        layerDigest: layer!.digest,
        slot: 1,
        below: [],
        image: {
          key: "image",
          claimant: "claimant",
          namespace: "any",
          host: "registry.example",
          repository: "app",
          fingerprint: "anonymous",
          reference: "registry.example/app:1",
          manifestDigest: `sha256:${"e".repeat(64)}`,
          indexDigest: null,
          layers: [],
        },
      }),
  };
  await withContainerd(provider, async ({ containerd, client }) => {
    using other = await connectContainerd(containerd.address, {
      namespace: "other",
    });
    for (const { snapshots } of [client, other]) {
      await assert.rejects(
        snapshots.prepare("extract", "", {
          labels: { ...KEEP, [TARGET_LABEL]: chainId! },
        }),
        (error) => isRpcError(error, "ALREADY_EXISTS"),
      );
      assert.equal((await snapshots.stat(chainId!)).kind, "committed");
      const [mount] = await snapshots.prepare("run", chainId!, {
        labels: KEEP,
      });
      assert.ok(mount?.options.includes(`lowerdir=${shown}`));
    }
  });
  Deno.removeSync(shown);
});

Deno.test("a client of our own stores blobs under a lease, names an image and has its layers applied", () =>
  withContainerd(NO_LAYERS, async ({ client }) => {
    const { content, images, leases, snapshots, diff } = client;
    assert.match((await client.version()).version, /^\d+\.\d+/);
    assert.ok((await client.snapshotters()).includes("soci"));
    await leases.during({ expiresInMs: 60_000 }, async (lease) => {
      assert.deepEqual(await leases.list(), [lease]);
      for (const blob of [IMAGE.manifest, IMAGE.config, ...IMAGE.layers]) {
        const write = () =>
          content.writeBlob(
            `test-${blob.digest}`,
            descriptor(blob),
            [blob.bytes.subarray(0, 10), blob.bytes.subarray(10)],
            { lease, labels: { made: "here" } },
          );
        assert.equal(await write(), "written");
        assert.equal(await write(), "present");
      }
      const [layer] = IMAGE.layers;
      const mounts = await snapshots.prepare("k", "", { lease });
      const applied = await diff.apply(descriptor(layer!), mounts, { lease });
      assert.equal(applied.digest, IMAGE.diffIds[0]);
      await snapshots.commit(IMAGE.chainIds[0]!, "k", { lease });
      assert.ok((await snapshots.usage(IMAGE.chainIds[0]!)).inodes >= 4);
      await content.delete(IMAGE.config.digest);
      assert.equal(await content.has(IMAGE.config.digest), false);

      const { digest, bytes } = IMAGE.manifest;
      const target = descriptor(IMAGE.manifest);
      await images.put({ name: NAME, target, labels: {} });
      await images.put({ name: NAME, target, labels: { again: "yes" } });
      assert.deepEqual(await images.get(NAME), {
        name: NAME,
        target,
        labels: { again: "yes" },
      });
      const read: number[] = [];
      for await (const piece of content.readBlob(digest, { offset: 5 })) {
        read.push(...piece);
      }
      assert.deepEqual(new Uint8Array(read), bytes.subarray(5));
      assert.equal((await content.info(digest)).labels.made, "here");
      const { labels } = await content.updateLabels(digest, { more: "1" });
      assert.deepEqual(labels, { made: "here", more: "1" });
    });
    assert.deepEqual(await leases.list(), []);
  }));

Deno.test("a snapshot that another lease made is held by the lease it is added to", () =>
  withContainerd(
    NO_LAYERS,
    async ({ client: { leases, snapshots, images } }) => {
      const collect = async () => {
        const target = descriptor(IMAGE.manifest);
        await images.put({ name: "none", target, labels: {} });
        await images.delete("none", { collect: true });
      };
      const expiresInMs = 60_000;
      const first = await leases.create({ expiresInMs });
      await snapshots.prepare("k", "", { lease: first });
      await snapshots.commit("base", "k", { lease: first });
      await leases.during({ expiresInMs }, async (lease) => {
        await leases.addSnapshot("soci", "base", { lease });
        await leases.delete(first);
        await collect();
        assert.ok(await snapshots.has("base"));
      });
      await collect();
      assert.ok(!await snapshots.has("base"));
    },
  ));

Deno.test("containerd gives a large blob the short way, whole and in part, and says what is not there", () =>
  withContainerd(NO_LAYERS, async ({ client, containerd }) => {
    const bytes = incompressible(20 * 2 ** 20 + 1);
    const digest = sha256(bytes);
    await client.content.writeBlob("large", { digest, size: bytes.length }, [
      bytes,
    ], { labels: KEEP });
    const about = {
      ...{ socketPath: containerd.address, namespace: "tests" },
      ...{ digest, offset: 0, length: bytes.length },
    };
    const collect = async (pieces: AsyncIterable<Uint8Array>) => {
      const all: Uint8Array[] = [];
      for await (const piece of pieces) all.push(piece);
      return joinBytes(all);
    };
    assert.equal(sha256(await collect(streamBlob(about))), digest);
    const [offset, length] = [5_000_001, 9_000_007];
    const part = bytes.subarray(offset, offset + length);
    assert.deepEqual(
      await collect(streamBlob({ ...about, offset, length })),
      part,
    );
    const { content } = client;
    assert.deepEqual(
      await collect(content.readBlob(digest, { offset, length })),
      part,
    );
    await assert.rejects(
      collect(content.readBlob(sha256(part), { length })),
      (error) => isRpcError(error, "NOT_FOUND"),
    );
  }));

Deno.test("bytes that are not what the descriptor says are refused", () =>
  withContainerd(NO_LAYERS, async ({ client }) => {
    const [layer] = IMAGE.layers;
    await assert.rejects(
      client.content.writeBlob("wrong", descriptor(layer!), [
        new Uint8Array(layer!.bytes.length),
      ]),
      (error) => isRpcError(error, "FAILED_PRECONDITION"),
    );
    await client.content.abort("wrong");
    assert.equal(await client.content.has(layer!.digest), false);
  }));

Deno.test("an upload that broke off is continued where it stopped", () =>
  withContainerd(NO_LAYERS, async ({ client }) => {
    const [layer] = IMAGE.layers;
    const { bytes, digest } = layer!;
    const broken = async function* () {
      yield bytes.subarray(0, 50);
      await Promise.reject(new Error("the source broke off"));
    };
    await assert.rejects(
      client.content.writeBlob("ref", descriptor(layer!), broken()),
      /broke off/,
    );
    // Were the first 50 bytes sent again, the blob's digest would be wrong: these are other bytes.
    const rest = bytes.slice();
    rest.fill(0, 0, 50);
    let written = "";
    for (let attempt = 0; attempt < 20 && written === ""; attempt++) {
      try {
        written = await client.content.writeBlob("ref", descriptor(layer!), [
          rest,
        ], { labels: KEEP });
      } catch (error) {
        // containerd has not yet seen that the first upload is over
        if (!isRpcError(error, "UNAVAILABLE")) throw error;
        await new Promise((wake) => setTimeout(wake, 50));
      }
    }
    assert.equal(written, "written");
    assert.equal((await client.content.info(digest)).sizeBytes, bytes.length);
  }));
