/** Images that are taken whole: shown at once, and read without the daemon. */
import assert from "node:assert/strict";
import {
  ctrRun,
  leftovers,
  pause,
  sociDenoCommand,
} from "../support/host/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { runOnTerminal } from "../support/terminal/mod.ts";
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
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { askStatus } from "../../lib/host/control/mod.ts";
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
    const reads = async (image: string, id: string) => {
      const { stdout, stderr } = await ctrRun(host.containerd, {
        ...{ image, id, snapshotter: "soci" },
        args: [
          ...["/bin/sh", "-c"],
          "cd /; for i in link-*; do sha256sum < $i; done",
        ],
      });
      assert.deepEqual(
        stdout.trim().split("\n").map((line) => `sha256:${line.slice(0, 64)}`),
        data.map((bytes) => sha256(bytes)),
        stderr,
      );
    };
    await reads(image, "packings");
    // Docker's types, by another chain of the same layers.
    const docker = `${registry.host}/docker:1`;
    await pushImage(
      registry.host,
      "docker:1",
      makeImage({ layers: layers.toReversed(), mediaTypes: "docker" }),
    );
    assert.deepEqual(outcomes(await host.pull(docker)), ["served"]);
    await reads(docker, "docker");
    for (let tries = 0;; tries++) {
      const kept = await host.containerd.ctr("content", "ls", "-q");
      if (layers.every(({ digest }) => kept.includes(digest))) break;
      assert.ok(tries < 100, `blobs are kept:\n${kept}\n${host.logs()}`);
      await pause(100);
    }
  },
});

testUnless(refusal, {
  name:
    "a stop ends the reads of lazily served layers, and of no layer that was taken whole",
  async fn() {
    await using registry = startRegistry();
    const busybox = layerBlob(addBusybox(new TarBuilder()));
    const contents = { lazily: 5, whole: 6 };
    const data = (seed: number) => incompressible(3_000_000, seed);
    for (const [name, seed] of Object.entries(contents)) {
      const layer = layerBlob(new TarBuilder().file("data", data(seed)));
      const image = makeImage({ layers: [layer, busybox] });
      await pushImage(registry.host, `${name}:1`, image);
    }
    await buildIndex(
      ...["--min-layer-size", "0", "--span-size", "256KiB"],
      `${registry.host}/lazily:1`,
    );
    await using host = await LazyHost.start({
      config: `${EAGER}
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
`,
    });
    const files: Deno.FsFile[] = [];
    for (const name of Object.keys(contents)) {
      const image = `${registry.host}/${name}:1`;
      assert.deepEqual(outcomes(await host.pull(image)), ["served"]);
      const status = await askStatus(`${host.root}/control.sock`);
      const layers = (status as DaemonStatus).layers;
      // Its last layer is the newest slot that holds the file; nothing of it is read yet.
      const { directory } = layers.toReversed().find(({ directory }) =>
        [...Deno.readDirSync(directory)].some(({ name }) => name === "data")
      )!;
      files.push(await Deno.open(`${directory}/data`));
    }
    const [lazily, whole] = files;
    const { code, stderr } = await sociDeno("stop", "--root", host.root);
    assert.equal(code, 0, stderr);
    const read = (file: Deno.FsFile) => new Response(file.readable).bytes();
    assert.deepEqual(await read(whole!), data(contents.whole));
    await assert.rejects(read(lazily!));
  },
});

testUnless(refusal, {
  name:
    "a pull of an image that is taken whole tells bytes, rate and time left on a terminal, of each layer and of all, and nothing of it in a pipe",
  async fn() {
    await using registry = startRegistry();
    for (const [at, name] of ["drawn", "piped"].entries()) {
      const layers = [1, 2].map((seed) =>
        layerBlob(
          new TarBuilder().file("data", incompressible(6e6, 10 * at + seed)),
        )
      );
      await pushImage(registry.host, `${name}:1`, makeImage({ layers }));
    }
    await using host = await LazyHost.start({ config: EAGER });
    await using link = await throttle(registry.host, {
      ...{ bitsPerSecond: 30e6, delayMs: 1 },
    });
    const pull = (name: string) => [
      ...["pull", "--address", host.containerd.address, "--root", host.root],
      `${link.host}/${name}:1`,
    ];
    const ran = await runOnTerminal({
      ...{ columns: 110, rows: 30 },
      ...sociDenoCommand(...pull("drawn")),
    });
    assert.equal(ran.code, 0, ran.raw);
    assert.match(ran.raw, /█.* of 6\.\d MB/);
    assert.match(ran.raw, /█.* of 12\.\d MB.*MB\/s.*left/);
    const piped = await sociDeno(...pull("piped"));
    assert.equal(piped.code, 0, piped.stderr);
    assert.doesNotMatch(piped.stdout + piped.stderr, /█| of 6|MB\/s/);
    assert.match(piped.stdout, /^layer sha256:\w{64} +6\.\d MB +served$/m);
  },
});
