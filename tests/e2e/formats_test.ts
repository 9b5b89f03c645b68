/** Layers in formats that other tools refuse: each image must run, lazily where that is possible. */
import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { sha256 } from "../../lib/formats/oci/mod.ts";
import { ctrPull, ctrRun, run } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  joinBytes,
  type LayerBlob,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";

const DATA = incompressible(2 * 2 ** 20);

function imageOf(...layers: LayerBlob[]): Image {
  const base = layerBlob(addBusybox(new TarBuilder()));
  const top = layerBlob(new TarBuilder().dir("top").file("top/last", "last\n"));
  return makeImage({
    layers: [base, ...layers, top],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });
}

/** Indexes, pulls and runs an image; tells what became of each layer and what the command wrote. */
async function lazily(image: Image, args: string[]) {
  await using registry = startRegistry();
  const name = `${registry.host}/formats:1`;
  await pushImage(registry.host, "formats:1", image);
  const indexed = await buildIndex("--min-layer-size", "0", name);
  await using host = await LazyHost.start();
  const pulled = await host.pull(name);
  const ran = await ctrRun(host.containerd, {
    image: name,
    id: "formats",
    snapshotter: "soci",
    args,
  });
  assert.equal(ran.code, 0, `${ran.stderr}\n${host.logs()}`);
  return {
    indexed,
    outcomes: pulled.layers.map(({ outcome }) => outcome),
    stdout: ran.stdout,
    requests: registry.requests,
    logs: host.logs(),
  };
}

/**
 * A file of holes, of which GNU tar packs only what is between them. In the PAX format: containerd
 * itself cannot unpack the older GNU one.
 */
async function sparseTar(folder: string): Promise<Uint8Array> {
  await Deno.mkdir(`${folder}/sparse`);
  using file = await Deno.open(`${folder}/sparse/file`, {
    createNew: true,
    write: true,
  });
  await file.truncate(9_000_000);
  await file.seek(4_000_000, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode("between holes"));
  await run("tar", [
    ...["--create", "--sparse", "--format=posix", "--owner=0", "--group=0"],
    ...["--file", `${folder}/sparse.tar`, "--directory", folder, "sparse"],
  ]);
  return await Deno.readFile(`${folder}/sparse.tar`);
}

Deno.test("an image with a sparse layer runs: containerd unpacks that layer, the others are lazy", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const tar = await sparseTar(folder);
    assert.ok(tar.length < 100_000, "GNU tar saw the holes");
    const sparse = layerBlob(tar);
    const { indexed, outcomes, stdout, logs, requests } = await lazily(
      imageOf(sparse),
      ["/bin/sh", "-c", "sha256sum < /sparse/file; cat /top/last"],
    );
    assert.match(indexed, /ztoc skipped .* sparse file/);
    assert.deepEqual(outcomes, ["served", "unpacked", "served"]);
    const content = await Deno.readFile(`${folder}/sparse/file`);
    assert.equal(stdout, `${sha256(content).slice(7)}  -\nlast\n`);
    assert.match(logs, /containerd unpacks it/);
    // Indexing, the daemon's one try, and containerd: not once more for every layer of the image.
    const downloads = requests.filter(({ path, method }) =>
      method === "GET" && path.endsWith(sparse.digest)
    );
    assert.ok(downloads.length <= 3, `${downloads.length} downloads`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const frames of [1, 3]) {
  Deno.test(`an image with a zstd layer of ${frames} frame(s) runs, and the index says why that layer has no ztoc`, async () => {
    const tar = new TarBuilder().dir("data").file("data/file", DATA).finish();
    const bytes = joinBytes(
      Array.from({ length: frames }, (_, i) => {
        const size = Math.ceil(tar.length / frames);
        return zstdCompressSync(tar.subarray(i * size, (i + 1) * size));
      }),
    );
    const layer: LayerBlob = {
      bytes,
      digest: sha256(bytes),
      diffId: sha256(tar),
      tarSize: tar.length,
      packing: "zstd",
    };
    const { indexed, outcomes, stdout } = await lazily(imageOf(layer), [
      ...["/bin/sha256sum", "/data/file"],
    ]);
    assert.match(indexed, /ztoc skipped .* zstd is not seekable/);
    assert.deepEqual(outcomes, ["served", "served", "served"]);
    assert.equal(stdout.split(" ")[0], sha256(DATA).slice(7));
  });
}

/** What only our index covers: headers that other tools refuse, empty members, zeros at the end. */
function oddTar(): TarBuilder {
  return new TarBuilder()
    .globalPax({ comment: "0123456789abcdef" })
    .file("first", "right behind a global header\n")
    .globalPax({ comment: "again", "example.path": "nowhere" })
    .dir("data")
    .globalPax({ comment: "and again" })
    .file("data/file", DATA)
    .symlink("link", "data/file");
}

Deno.test("files behind PAX global headers are served lazily, as containerd unpacks them", async () => {
  const image = imageOf(layerBlob(oddTar()));
  const args = [
    ...["/bin/sh", "-c"],
    "cat /first; sha256sum < /link; ls -an / /data | grep -E 'first|passed|data|link|file'",
  ];
  const { outcomes, indexed, stdout } = await lazily(image, args);
  assert.doesNotMatch(indexed, /skipped/);
  assert.deepEqual(outcomes, ["served", "served", "served"]);
  assert.doesNotMatch(stdout, /passed/);
  await using registry = startRegistry();
  const name = `${registry.host}/eager:1`;
  await pushImage(registry.host, "eager:1", image);
  await using host = await LazyHost.start();
  await ctrPull(host.containerd, name);
  const eager = await ctrRun(host.containerd, {
    image: name,
    id: "eager",
    snapshotter: "overlayfs",
    args,
  });
  // What a directory takes is the disk file system's own business.
  const plain = (listing: string) =>
    listing.replace(/^total.*$/gm, "")
      .replace(/^(d(?:\S+\s+){3}\S+)\s+\d+/gm, "$1 ?");
  assert.equal(plain(stdout), plain(eager.stdout));
});

Deno.test("a layer of empty members and trailing zeros is served lazily", async () => {
  const { bytes, diffId, tarSize } = layerBlob(oddTar());
  const empty = layerBlob(new Uint8Array(0)).bytes;
  const padded = joinBytes([empty, empty, bytes, new Uint8Array(100_000)]);
  const { outcomes, indexed, stdout } = await lazily(
    imageOf({
      bytes: padded,
      digest: sha256(padded),
      diffId,
      tarSize,
      packing: "gzip",
    }),
    ["/bin/sha256sum", "/data/file"],
  );
  assert.doesNotMatch(indexed, /skipped/);
  assert.deepEqual(outcomes, ["served", "served", "served"]);
  assert.equal(stdout.split(" ")[0], sha256(DATA).slice(7));
});
