/** Layers in formats that other tools refuse: each image must run, lazily where that is possible. */
import assert from "node:assert/strict";
import {
  parseIndex,
  parseManifest,
  sha256,
} from "../../lib/formats/oci/mod.ts";
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
  writeLayout,
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

/** A zstd layer that some program packed; null where this machine does not have it. */
async function zstdBy(script: string, tar: Uint8Array): Promise<LayerBlob> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${folder}/tar`, tar);
    await run("sh", ["-ec", script], { cwd: folder });
    const bytes = await Deno.readFile(`${folder}/layer`);
    return {
      bytes,
      digest: sha256(bytes),
      diffId: sha256(tar),
      tarSize: tar.length,
      packing: "zstd",
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The same as skopeo packs it: a frame for each file, and a table of them behind. */
async function zstdChunked(tar: Uint8Array): Promise<LayerBlob> {
  const folder = await Deno.makeTempDir();
  try {
    const image = makeImage({ layers: [layerBlob(tar)] });
    await writeLayout(`${folder}/in`, image);
    await run("skopeo", [
      ...["--insecure-policy", "copy", "--dest-compress-format"],
      ...["zstd:chunked", `oci:${folder}/in`, `oci:${folder}/out`],
    ]);
    const blob = (digest: string) =>
      Deno.readFileSync(`${folder}/out/blobs/${digest.replace(":", "/")}`);
    const index = parseIndex(Deno.readFileSync(`${folder}/out/index.json`));
    const [manifest] = index.manifests;
    const [layer] = parseManifest(blob(manifest!.digest)).layers;
    return {
      bytes: blob(layer!.digest),
      digest: layer!.digest,
      diffId: sha256(tar),
      tarSize: tar.length,
      packing: "zstd",
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

for (
  const [what, pack, isLazy] of [
    ["skopeo, zstd:chunked", zstdChunked, true],
    ["zstd", "zstd -q tar -o layer", false],
    ["zstd in several threads", "zstd -q -T2 -B524288 tar -o layer", false],
    ["pzstd", "pzstd -q -p 2 tar -o layer", true],
    [
      "zstd --long, in parts",
      "split -b 1000000 tar part; zstd -q --long=27 -c part* > layer",
      true,
    ],
    [
      "zstd, and skippable frames around it",
      "printf 'P*M\\030\\003\\000\\000\\000abc' > skip; split -b 700000 tar part; for i in part*; do cat skip; zstd -q -c $i; done > layer; cat skip >> layer",
      true,
    ],
  ] as const
) {
  Deno.test(`a layer packed by ${what} is ${isLazy ? "read lazily" : "downloaded whole"} and right`, async () => {
    const tar = new TarBuilder().dir("data")
      .file("data/before", incompressible(6 * 2 ** 20, 3))
      .file("data/file", DATA).finish();
    const layer =
      await (typeof pack === "string" ? zstdBy(pack, tar) : pack(tar));
    const { indexed, outcomes, stdout, requests } = await lazily(
      imageOf(layer),
      ["/bin/sha256sum", "/data/file"],
    );
    assert.deepEqual(outcomes, ["served", "served", "served"]);
    assert.equal(stdout.split(" ")[0], sha256(DATA).slice(7));
    const gets = requests.filter(({ method, path }) =>
      method === "GET" && path.endsWith(layer.digest)
    );
    const whole = gets.filter(({ range }) => range === null);
    if (isLazy) {
      assert.doesNotMatch(indexed, /skipped/);
      assert.equal(whole.length, 1, "build-index reads it, and nobody else");
      assert.ok(gets.length > 1);
    } else {
      assert.match(indexed, /ztoc skipped .* zstd is not seekable/);
      // build-index's pass and its look at the first bytes and the last; the daemon takes parts of 4 MiB.
      assert.equal(whole.length, 2);
      assert.equal(gets.length, 3 + Math.ceil(layer.bytes.length / 2 ** 22));
    }
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
