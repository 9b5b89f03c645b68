/** Images whose layers overlayfs stacks in unusual ways: the same one several times, very many. */
import assert from "node:assert/strict";
import { ctrRun, run } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";
import { Mounted } from "./mounted.ts";

function imageOf(layers: readonly LayerBlob[]): Image {
  return makeImage({
    layers: [
      layerBlob(addBusybox(new TarBuilder()).dir("tmp", { mode: 0o1777 })),
      ...layers,
    ],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });
}

/** What Docker and BuildKit write for a step that changes nothing. */
const EMPTY = layerBlob(new Uint8Array(1024));

const SHOW =
  "cat /hello; ls /d; test ! -e /gone && test ! -e /d/gone && echo hidden";

onEveryFace(
  "an image with the same layers several times runs, by containerd and by mount",
  async (face) => {
    const changes = layerBlob(
      new TarBuilder().dir("d").file("d/x", "x").whiteout("gone")
        .whiteout("d/gone").file("hello", "of the layer\n"),
    );
    const image = imageOf([
      layerBlob(
        new TarBuilder().file("hello", "hello\n").file("gone", "x").dir("d")
          .file("d/gone", "x").file("data", incompressible(2 ** 20)),
      ),
      EMPTY,
      changes,
      EMPTY,
      layerBlob(
        new TarBuilder().file("hello", "between\n").file("gone", "x").dir("d")
          .file("d/gone", "x").file("d/y", "y"),
      ),
      EMPTY,
      changes,
      EMPTY,
      EMPTY,
    ]);
    await using registry = startRegistry();
    const name = `${registry.host}/twice:1`;
    await pushImage(registry.host, "twice:1", image);
    await buildIndex("--min-layer-size", "0", name);
    await using host = await LazyHost.start({ face });
    const { layers } = await host.pull(name);
    assert.deepEqual(
      new Set(layers.map(({ outcome }) => outcome)),
      new Set(["served"]),
    );
    for (const flags of [[], ["--read-only"]]) {
      const { code, stdout, stderr } = await ctrRun(host.containerd, {
        image: name,
        id: `twice${flags.length}`,
        snapshotter: "soci",
        flags,
        args: ["/bin/sh", "-c", SHOW],
      });
      assert.equal(code, 0, `${stderr}\n${host.logs()}`);
      assert.equal(stdout, "of the layer\nx\ny\nhidden\n");
    }
    await using mounted = await Mounted.start(name, face);
    const { stdout } = await run("chroot", [
      ...[mounted.directory, "/bin/sh", "-c", SHOW],
    ], { timeoutMs: 20_000 });
    assert.equal(stdout, "of the layer\nx\ny\nhidden\n");
    await host.removeImages(name);
  },
);

const many = (count: number) =>
  imageOf(
    Array.from({ length: count - 1 }, (_, at) =>
      layerBlob(
        new TarBuilder().file(`of-${at}`, `${at}`).file("last", `${at}`),
      )),
  );

onEveryFace("an image of 200 layers is mounted", async (face) => {
  await using registry = startRegistry();
  const name = `${registry.host}/many:1`;
  await pushImage(registry.host, "many:1", many(200));
  await buildIndex("--min-layer-size", "0", name);
  await using mounted = await Mounted.start(name, face);
  // In a process of its own: the registry is in this one.
  const { stdout } = await run("cat", [
    ...[`${mounted.directory}/last`, `${mounted.directory}/of-0`],
  ], { timeoutMs: 40_000 });
  assert.equal(stdout, "1980");
});

// One of the 500 is for the directory that closes the mount to others.
for (const count of [500, 501]) {
  Deno.test(`an image of ${count} layers, more than the kernel stacks, is refused in one line before a layer is downloaded`, () =>
    refused(count));
}

async function refused(count: number): Promise<void> {
  await using registry = startRegistry();
  const name = `${registry.host}/toomany:1`;
  await pushImage(registry.host, "toomany:1", many(count));
  const pushed = registry.requests.length;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-toomany-" });
  try {
    const { code, stderr } = await sociDeno(
      ...["mount", "--root", `${folder}/root`, name, folder],
    );
    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`${count} different layers, overlayfs takes 500`),
    );
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    const since = registry.requests.slice(pushed);
    assert.ok(since.length > 0);
    assert.ok(since.filter(({ path }) => path.includes("/blobs/")).length < 2);
    const { stdout } = await run("cat", ["/proc/self/mountinfo"]);
    assert.ok(!stdout.includes(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
