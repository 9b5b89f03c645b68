import assert from "node:assert/strict";
import { connectContainerd } from "../../lib/remote/containerd/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { compareTrees, treeOf } from "../support/compare/mod.ts";
import {
  CriClient,
  ctrPull,
  ctrRun,
  leftovers,
  run,
} from "../support/host/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  type LayerPacking,
  makeImage,
  oddImage,
  pauseImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const PYTHON = ["/usr/bin/python3", "/app/main.py"];
/** Directories of the odd image that its uppermost mention implies without an entry of their own. */
const UNLISTED_DIRECTORY = /^(\.|hidden|(level-0|long|missing|never)(\/.*)?)$/;
const OUTPUT = /"sum": 5050/;

const outcomes = ({ layers }: { layers: { outcome: string }[] }) =>
  layers.map(({ outcome }) => outcome);

/** Mounts a view of a committed snapshot and lists its tree. */
async function viewTree(host: LazyHost, chainId: string, snapshotter: string) {
  const target = `${host.folder}/view-${snapshotter}`;
  await Deno.mkdir(target);
  using containerd = await connectContainerd(host.containerd.address, {
    namespace: "default",
  });
  // Without a lease containerd may collect the view at once.
  return await containerd.leases.during(
    { expiresInMs: 60_000 },
    async (lease) => {
      const snapshots = containerd.snapshots.of(snapshotter);
      const [mount] = await snapshots.view("view", chainId, { lease });
      assert.ok(mount !== undefined);
      await run("mount", [
        ...["-t", mount.type, mount.source, target],
        ...["-o", mount.options.join(",")],
      ], { timeoutMs: 10_000 });
      try {
        return await treeOf(target, { ignoreXattrs: ["trusted.overlay."] });
      } finally {
        await run("umount", [target], { timeoutMs: 10_000 });
        await snapshots.remove("view", { lease });
      }
    },
  );
}

Deno.test("an indexed image is pulled without its layers, runs, and leaves nothing behind", async () => {
  await using registry = startRegistry();
  const image = `${registry.host}/app:1`;
  await pushImage(registry.host, "app:1", programImage());
  await buildIndex("--min-layer-size", "0", "--span-size", "512KiB", image);
  let folder: string;
  {
    await using host = await LazyHost.start();
    folder = host.folder;
    const before = registry.bytesServed();
    assert.deepEqual(outcomes(await host.pull(image)), [
      "served",
      "served",
      "served",
      "served",
    ]);
    const { code, stdout, stderr } = await ctrRun(host.containerd, {
      image,
      id: "lazy",
      snapshotter: "soci",
      args: ["/bin/busybox", "echo", "lazily"],
    });
    assert.equal(code, 0, `${stderr}\n${host.logs()}`);
    assert.equal(stdout, "lazily\n");
    const layers = registry.requests.filter(({ range }) => range != null);
    assert.ok(layers.length > 0, "spans are fetched by ranges");
    const fetched = registry.bytesServed() - before;
    assert.ok(fetched < 9e6, `${fetched} bytes fetched of 27.7 MB`);

    const python = await ctrRun(host.containerd, {
      image,
      id: "python",
      snapshotter: "soci",
      args: PYTHON,
    });
    assert.match(python.stdout, OUTPUT, python.stderr);
    await host.removeImages(image);
    assert.deepEqual(
      [...Deno.readDirSync(`${folder}/root/layers`)],
      [],
      "caches of removed layers are gone",
    );
  }
  assert.deepEqual(leftovers(folder), {
    mounts: [],
    processes: [],
    sockets: [],
  });
});

onEveryFace(
  "a lazily served tree is the tree that overlayfs unpacks, on every odd case",
  async (face) => {
    await using registry = startRegistry();
    const image = `${registry.host}/odd:1`;
    await pushImage(registry.host, "odd:1", oddImage());
    await buildIndex("--min-layer-size", "0", image);
    await using host = await LazyHost.start({ face });
    const pulled = await host.pull(image);
    assert.deepEqual(new Set(outcomes(pulled)), new Set(["served"]));
    const { chainId } = pulled.layers.at(-1)!;
    const lazy = await viewTree(host, chainId, "soci");
    await ctrPull(host.containerd, image);
    const unpacked = await viewTree(host, chainId, "overlayfs");
    assert.ok(lazy.length > 2000);
    assert.match(host.logs(), new RegExp(`"face":"${face}"`));
    const directories = new Set(
      unpacked.filter(({ type }) => type === "dir").map(({ path }) => path),
    );
    const differences = compareTrees(lazy, unpacked).filter(
      ({ field, path }) =>
        // A directory's size is the disk file system's own business, and the time of one that no
        // layer lists is the moment of unpacking.
        !(directories.has(path) &&
          (field === "sizeBytes" ||
            field === "mtimeNs" && UNLISTED_DIRECTORY.test(path))),
    );
    assert.deepEqual(differences, []);
  },
);

Deno.test("an image without an index is left to containerd and runs", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "plain:1", programImage());
  const image = `${registry.host}/plain:1`;
  await using host = await LazyHost.start();
  assert.deepEqual(
    new Set(outcomes(await host.pull(image))),
    new Set(["unpacked"]),
  );
  const { stdout, stderr } = await ctrRun(host.containerd, {
    image,
    id: "plain",
    snapshotter: "soci",
    args: PYTHON,
  });
  assert.match(stdout, OUTPUT, stderr);
});

Deno.test("layers the index leaves out are served too", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "partial:1", programImage());
  const image = `${registry.host}/partial:1`;
  const lines = await buildIndex("--min-layer-size", "8MB", image);
  assert.match(lines, /ztoc skipped/);
  assert.match(lines, /-> ztoc/);
  await using host = await LazyHost.start();
  assert.deepEqual(
    new Set(outcomes(await host.pull(image))),
    new Set(["served"]),
  );
  const { stdout, stderr } = await ctrRun(host.containerd, {
    image,
    id: "partial",
    snapshotter: "soci",
    args: PYTHON,
  });
  assert.match(stdout, OUTPUT, stderr);
});

for (
  const packing of [
    "gzip-multi",
    "zstd-multi",
    "none",
  ] as const satisfies LayerPacking[]
) {
  Deno.test(`layers packed as ${packing} are read span by span and right`, async () => {
    await using registry = startRegistry();
    const data = incompressible(3 * 2 ** 20);
    const tar = addBusybox(new TarBuilder()).dir("data").file(
      "data/file",
      data,
    );
    await pushImage(
      registry.host,
      "packed:1",
      makeImage({
        layers: [layerBlob(tar, { compression: packing })],
        config: { cmd: ["/bin/sh"] },
      }),
    );
    const image = `${registry.host}/packed:1`;
    await buildIndex("--min-layer-size", "0", "--span-size", "256KiB", image);
    await using host = await LazyHost.start();
    assert.deepEqual(outcomes(await host.pull(image)), ["served"]);
    const { stdout, stderr } = await ctrRun(host.containerd, {
      image,
      id: "packed",
      snapshotter: "soci",
      args: ["/bin/busybox", "sha256sum", "/data/file"],
    });
    const digest = new Uint8Array(
      await crypto.subtle.digest("SHA-256", data as BufferSource),
    ).toHex();
    assert.equal(stdout.split(" ")[0], digest, stderr);
  });
}

Deno.test("a converted image carries its index, with no referrer and v1 off", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "conv:1", programImage());
  await buildIndex(
    ...["--min-layer-size", "0", "--to", "soci", `${registry.host}/conv:1`],
  );
  const image = `${registry.host}/conv:soci`;
  await using host = await LazyHost.start({
    config: "[background_fetch]\ndisable = true\n",
  });
  assert.deepEqual(
    new Set(outcomes(await host.pull(image))),
    new Set(["served"]),
  );
  const { stdout, stderr } = await ctrRun(host.containerd, {
    image,
    id: "conv",
    snapshotter: "soci",
    args: PYTHON,
  });
  assert.match(stdout, OUTPUT, stderr);
});

Deno.test("a restarted daemon serves what it served before", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "again:1", programImage());
  const image = `${registry.host}/again:1`;
  await buildIndex("--min-layer-size", "0", image);
  await using host = await LazyHost.start();
  await host.pull(image);
  const start = (id: string) =>
    ctrRun(host.containerd, { image, id, snapshotter: "soci", args: PYTHON });
  assert.match((await start("first")).stdout, OUTPUT);
  await host.stopDaemon();
  const before = registry.bytesServed();
  await host.startDaemon();
  await host.reconnected();
  const { stdout, stderr } = await start("second");
  assert.match(stdout, OUTPUT, `${stderr}\n${host.logs()}`);
  assert.equal(registry.bytesServed() - before, 0, "the cache is used again");
});

Deno.test("containerd's Kubernetes interface pulls lazily and runs a pod", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "pause:1", pauseImage());
  await pushImage(registry.host, "pod:1", programImage());
  const image = `${registry.host}/pod:1`;
  await buildIndex("--min-layer-size", "0", image);
  await using host = await LazyHost.start({
    cri: { snapshotter: "soci", sandboxImage: `${registry.host}/pause:1` },
  });
  using cri = new CriClient(host.containerd);
  await cri.pull(image);
  assert.match(host.logs(), /layer is served/);
  await using container = await cri.run({ image, command: PYTHON });
  const { code, stdout, stderr } = await container.ended();
  assert.equal(code, 0, stderr);
  assert.match(stdout, OUTPUT);
});

Deno.test("pull says in one line that containerd does not answer", async () => {
  const { code, stderr } = await sociDeno(
    ...["pull", "--address", "/nonexistent/containerd.sock", "localhost:1/a:1"],
  );
  assert.equal(code, 1);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
  assert.match(stderr, /\/nonexistent\/containerd\.sock/);
});
