/** Images that are taken whole: shown at once, and read without the daemon. */
import assert from "node:assert/strict";
import { ctrRun, leftovers, pause } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import {
  addBusybox,
  checkedImage,
  incompressible,
  layerBlob,
  type LayerPacking,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { checkedDuring, readsRight } from "./checked_host.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

const EAGER = `
[eager]
unindexed = ["**"]
`;

const refusal = await erofsRefusal();

const outcomes = ({ layers }: { layers: { outcome: string }[] }) => [
  ...new Set(layers.map(({ outcome }) => outcome)),
];

testUnless(refusal, {
  name:
    "an image without an index is taken whole, and its containers read on while the daemon is killed, stopped and gone",
  async fn() {
    await using registry = startRegistry();
    const image = `${registry.host}/checked:1`;
    await pushImage(registry.host, "checked:1", checkedImage());
    let folder: string;
    {
      await using host = await LazyHost.start({ config: EAGER });
      folder = host.folder;
      assert.deepEqual(outcomes(await host.pull(image)), ["served"]);
      const layers = checkedImage().layers.map(({ digest }) => digest);
      const gets = registry.requests.filter(({ method, path }) =>
        method === "GET" && layers.some((digest) => path.endsWith(digest))
      ).map(({ path, range }) => `${path} ${range}`);
      assert.equal(new Set(gets).size, gets.length, "no part comes twice");
      registry.requests.length = 0;
      await checkedDuring({ host, image }, 6, async () => {
        await host.killDaemon();
        const { code, stderr } = await sociDeno("stop", "--root", host.root);
        assert.equal(code, 0, stderr);
        await Deno.writeTextFile("/proc/sys/vm/drop_caches", "3");
        await pause(500);
        await host.startDaemon();
      });
      await host.reconnected();
      assert.ok(await readsRight(host, image), "right after a stop");
      await host.takeOver();
      assert.ok(await readsRight(host, image), "right after a takeover");
      assert.deepEqual(
        registry.requests.filter(({ path }) => /blobs/.test(path)),
        [],
        "nothing is downloaded twice",
      );
      const kept = async () => {
        const text = await host.containerd.ctr("content", "ls", "-q");
        return layers.filter((digest) => text.includes(digest)).length;
      };
      assert.equal(await kept(), 0);
      const fetched = await sociDeno(
        ...["content", "fetch", "--address", host.containerd.address, image],
      );
      assert.equal(fetched.code, 0, fetched.stderr);
      assert.equal(await kept(), layers.length);
      await host.containerd.ctr(
        ...["images", "export", "/dev/null", image],
      );
      await host.removeImages(image);
      const left = () =>
        ["layers", "ingest"].flatMap((name) => [
          ...Deno.readDirSync(`${host.root}/${name}`),
        ]);
      for (let tries = 0; left().length > 0; tries++) {
        assert.ok(tries < 50, "files of removed layers stay");
        await pause(100);
      }
    }
    assert.deepEqual(leftovers(folder), {
      mounts: [],
      processes: [],
      sockets: [],
    });
  },
});

testUnless(refusal, {
  name:
    "with parallel_pull_unpack every packing is taken whole in parts, by the programs of decompress_streams where they work, no index is asked for, and blobs are kept as it says",
  async fn() {
    await using registry = startRegistry();
    const packings: LayerPacking[] = [
      ...["gzip", "gzip-multi", "zstd", "zstd-multi", "none"] as const,
    ];
    const data = packings.map((_, i) => incompressible(2_500_000 + i, i + 1));
    const layers = [
      layerBlob(addBusybox(new TarBuilder())),
      ...packings.map((compression, i) =>
        layerBlob(
          new TarBuilder().file(`data-${i}`, data[i]!).symlink(
            `link-${i}`,
            `data-${i}`,
          ),
          { compression },
        )
      ),
    ];
    const image = `${registry.host}/packings:1`;
    await pushImage(registry.host, "packings:1", makeImage({ layers }));
    await buildIndex("--min-layer-size", "0", image);
    await using host = await LazyHost.start({
      config: `
[pull_modes.soci_v1]
enable = true
[content_store]
type = "containerd"
[pull_modes.parallel_pull_unpack]
enable = true
max_concurrent_downloads = 5
max_concurrent_downloads_per_image = 5
concurrent_download_chunk_size = "700kb"
max_concurrent_unpacks_per_image = 2
[pull_modes.parallel_pull_unpack.decompress_streams]
gzip = { path = "/bin/gzip", args = ["-dc"] }
zstd = { path = "/bin/false" }
`,
    });
    registry.requests.length = 0;
    assert.deepEqual(outcomes(await host.pull(image)), ["served"]);
    assert.equal(
      registry.requests.filter(({ path }) => /referrers/.test(path)).length,
      0,
    );
    for (const { digest } of layers.slice(1)) {
      const ranges = registry.requests.filter(({ path, range }) =>
        path.endsWith(digest) && range !== null
      );
      assert.ok(ranges.length >= 3, `${ranges.length} ranges of ${digest}`);
    }
    const said = (text: string) => host.logs().split(text).length - 1;
    assert.equal(said("a program decompressed a layer"), 3); // gzip's
    assert.equal(said("/bin/false ended with 1"), 2); // done without
    const { stdout, stderr } = await ctrRun(host.containerd, {
      image,
      id: "packings",
      snapshotter: "soci",
      args: ["/bin/sh", "-c", "cd /; for i in link-*; do sha256sum < $i; done"],
    });
    assert.deepEqual(
      stdout.trim().split("\n").map((line) => `sha256:${line.slice(0, 64)}`),
      data.map((bytes) => sha256(bytes)),
      stderr,
    );
    for (let tries = 0;; tries++) {
      const kept = await host.containerd.ctr("content", "ls", "-q");
      if (layers.every(({ digest }) => kept.includes(digest))) break;
      assert.ok(tries < 100, `blobs are kept:\n${kept}\n${host.logs()}`);
      await pause(100);
    }
  },
});
