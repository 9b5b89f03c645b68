/** Odd layers on the whole path of images that are taken whole: shown as containerd unpacks them, or left to it once. */
import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { type Digest, sha256 } from "../../lib/formats/oci/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import { ctrPull, ctrRun, pause, run } from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  joinBytes,
  type LayerBlob,
  layerBlob,
  type LayerPacking,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { LazyHost } from "./host.ts";

const EAGER = `
[http]
MaxRetries = 1
[eager]
unindexed = ["**"]
`;
const refusal = await erofsRefusal();
const BASE = layerBlob(
  addBusybox(new TarBuilder()).dir("old").file("old/gone", "gone")
    .file("old/stays", "stays").file("gone", "gone"),
);
const TOP = layerBlob(new TarBuilder().file("top", "top\n"));
const encode = (text: string) => new TextEncoder().encode(text);

const data = (seed: number) => incompressible(1_500_000, seed);
const tarOf = (name: string, seed = name.length) =>
  new TarBuilder().dir("data").file(`data/${name}`, data(seed));

/** A blob that is no more than its bytes. */
function blobOf(
  bytes: Uint8Array,
  tar: Uint8Array,
  packing: LayerPacking,
): LayerBlob {
  const digest = sha256(bytes);
  return { bytes, digest, diffId: sha256(tar), tarSize: tar.length, packing };
}

type Layers = {
  mediaType: string;
  digest: Digest;
  size: number;
  urls?: string[];
}[];

/** The image with another list of layers in its manifest. */
function withLayers(image: Image, change: (layers: Layers) => void): Image {
  const document = JSON.parse(new TextDecoder().decode(image.manifest));
  change(document.layers);
  const manifest = encode(JSON.stringify(document));
  const digest = sha256(manifest);
  const { descriptor } = image;
  return {
    ...image,
    ...{ manifest, digest },
    descriptor: { ...descriptor, digest, size: manifest.length },
  };
}

/** What a container sees of the image, by names, kinds, owners, times and content. */
async function seen(host: LazyHost, image: string, snapshotter: string) {
  const { code, stdout, stderr } = await ctrRun(host.containerd, {
    ...{ image, id: `odd-${crypto.randomUUID()}`, snapshotter },
    args: [
      ...["/bin/sh", "-c"],
      "cd /; for d in . old data; do [ -d $d ] && ls -lan $d; done | " +
      "grep -Ev ' (\\.|\\.\\.|dev|proc|sys|run|etc|old|data|bin)$|^total'; " +
      "find old data top -type f | sort | while read f; do sha256sum $f; done",
    ],
  });
  assert.equal(code, 0, `${image}: ${stderr}`);
  return stdout;
}

const outcomes = ({ layers }: { layers: { outcome: string }[] }) =>
  layers.map(({ outcome }) => outcome);
/** Layers beside one that is refused may still be on their way. */
async function leavesNothing(host: LazyHost, what = "") {
  const left = () =>
    [...Deno.readDirSync(`${host.root}/ingest`)].map(({ name }) => name);
  for (let tries = 0; left().length > 0; tries++) {
    assert.ok(tries < 200, `${what}: ${left()} stay\n${host.logs()}`);
    await pause(100);
  }
}
/** How often a blob was asked for, a part of it counting once. */
const gets = ({ requests }: TestRegistry, digest: Digest) =>
  requests.filter(({ method, path }) =>
    method === "GET" && path.endsWith(digest)
  ).length;

async function sparseTar(): Promise<Uint8Array> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/data`);
    using file = await Deno.open(`${folder}/data/sparse`, {
      ...{ createNew: true, write: true },
    });
    await file.truncate(3_000_000);
    await file.seek(1_000_000, Deno.SeekMode.Start);
    await file.write(encode("between holes"));
    await run("tar", [
      ...["--create", "--sparse", "--format=posix", "--owner=0", "--group=0"],
      ...["--file", `${folder}/tar`, "--directory", folder, "data"],
    ]);
    return await Deno.readFile(`${folder}/tar`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const skippable = (length: number) =>
  joinBytes([
    Uint8Array.of(0x5a, 0x2a, 0x4d, 0x18, length, 0, 0, 0),
    new Uint8Array(length).fill(7),
  ]);

function odd(): Record<string, LayerBlob> {
  const frames = tarOf("frames").finish();
  const half = 700_000;
  const members = tarOf("members").finish();
  const empty = layerBlob(new Uint8Array(0)).bytes;
  return {
    "zstd-skippable": blobOf(
      joinBytes([
        skippable(3),
        new Uint8Array(zstdCompressSync(frames.subarray(0, half))),
        skippable(0),
        new Uint8Array(zstdCompressSync(frames.subarray(half))),
        skippable(200),
      ]),
      frames,
      "zstd",
    ),
    "gzip-members": blobOf(
      joinBytes([
        empty,
        layerBlob(members.subarray(0, half)).bytes,
        empty,
        layerBlob(members.subarray(half), { level: 0 }).bytes,
      ]),
      members,
      "gzip",
    ),
    "uncompressed": layerBlob(tarOf("plain"), { compression: "none" }),
    "empty": layerBlob(new TarBuilder()),
    "empty-zstd": layerBlob(joinBytes([new Uint8Array(10_240)]), {
      compression: "zstd",
    }),
    "no-bytes": layerBlob(new Uint8Array(0)),
    "whiteouts": layerBlob(
      new TarBuilder().whiteout("gone").whiteout("old/gone")
        .whiteout("old/never-there"),
    ),
    "opaque": layerBlob(new TarBuilder().dir("old").opaque("old")),
    "no-end": blobOf(
      layerBlob(tarOf("no-end").finish().subarray(0, -1024)).bytes,
      tarOf("no-end").finish().subarray(0, -1024),
      "gzip",
    ),
  };
}

testUnless(refusal, {
  name:
    "layers with skippable frames, many members, no file or whiteouts alone are shown as containerd unpacks them, by any media type",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    for (const [name, layer] of Object.entries(odd())) {
      const image = `${registry.host}/${name}:1`;
      const mediaTypes = name.length % 2 === 0 ? "oci" : "docker";
      await pushImage(
        registry.host,
        `${name}:1`,
        makeImage({ layers: [BASE, layer, TOP], mediaTypes }),
      );
      const pulled = outcomes(await host.pull(image));
      assert.deepEqual(
        pulled.slice(1),
        ["served", "served"],
        `${name}\n${host.logs().slice(-2000)}`,
      );
      const here = await seen(host, image, "soci");
      await ctrPull(host.containerd, image);
      assert.equal(here, await seen(host, image, "overlayfs"), name);
    }
    await leavesNothing(host);
  },
});

testUnless(refusal, {
  name:
    "a layer of a sparse file is left to containerd once, the others are shown",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const sparse = layerBlob(await sparseTar());
    const image = `${registry.host}/sparse:1`;
    await pushImage(
      registry.host,
      "sparse:1",
      makeImage({ layers: [BASE, sparse, TOP] }),
    );
    const pulled = outcomes(await host.pull(image));
    assert.deepEqual(pulled, ["served", "unpacked", "served"]);
    assert.equal(gets(registry, sparse.digest), 2);
    const here = await seen(host, image, "soci");
    await ctrPull(host.containerd, image);
    assert.equal(here, await seen(host, image, "overlayfs"));
    await leavesNothing(host);
  },
});

testUnless(refusal, {
  name:
    "a layer whose manifest lies of its size, or whose file claims gigabytes that are not there, is refused, leaves nothing, and takes no other image with it",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const honest = layerBlob(tarOf("honest"));
    const claims = new TarBuilder()
      .file("data/huge", "small", { pax: { size: "9000000000" } });
    const beyond = new TarBuilder()
      .file("data/huge", "small", { pax: { size: "99999999999999999999" } });
    const negative = new TarBuilder()
      .file("data/huge", "small", { pax: { size: "-5" } });
    const image = (layer: LayerBlob) =>
      makeImage({ layers: [BASE, layer, TOP] });
    const sized = (by: number) =>
      withLayers(image(layerBlob(tarOf(`by${by}`))), (layers) => {
        layers[1]!.size += by;
      });
    const cases = {
      "too-large": sized(10_000),
      "too-small": sized(-10_000),
      "none-at-all": withLayers(
        image(layerBlob(tarOf("none-at-all"))),
        (layers) => {
          layers[1]!.size = 0;
        },
      ),
      "claims": image(layerBlob(claims)),
      "beyond": image(layerBlob(beyond)),
      "negative": image(layerBlob(negative)),
    };
    for (const [name, image] of Object.entries(cases)) {
      await pushImage(registry.host, `${name}:1`, image);
      await assert.rejects(host.pull(`${registry.host}/${name}:1`), Error);
      await leavesNothing(host, name);
    }
    await pushImage(registry.host, "honest:1", image(honest));
    const pulled = outcomes(await host.pull(`${registry.host}/honest:1`));
    assert.deepEqual(pulled.slice(1), ["served", "served"]);
  },
});

testUnless(refusal, {
  name:
    "an image that has one layer twice, in a row and apart, is shown as containerd unpacks it, and the layer comes once",
  async fn() {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const twice = layerBlob(tarOf("twice"));
    const hides = layerBlob(new TarBuilder().whiteout("data/twice"));
    const image = `${registry.host}/twice:1`;
    await pushImage(
      registry.host,
      "twice:1",
      makeImage({ layers: [BASE, twice, twice, hides, twice, TOP] }),
    );
    const pulled = await host.pull(image);
    assert.deepEqual([...new Set(outcomes(pulled))], ["served"]);
    assert.equal(gets(registry, twice.digest), 1);
    const here = await seen(host, image, "soci");
    await ctrPull(host.containerd, image);
    assert.equal(here, await seen(host, image, "overlayfs"));
  },
});

testUnless(refusal, {
  name:
    "layers that may not be distributed are taken whole where the registry has them; where it has not, no address that an image names is asked",
  async fn() {
    await using registry = startRegistry();
    await using elsewhere = startRegistry();
    await using host = await LazyHost.start({ config: EAGER });
    const types = {
      "oci": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      "docker": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    };
    for (const [kind, mediaType] of Object.entries(types)) {
      const layer = layerBlob(tarOf(kind));
      elsewhere.addBlob("files", layer.bytes);
      const image = withLayers(
        makeImage({ layers: [BASE, layer, TOP] }),
        (layers) => {
          const urls = [
            `http://${elsewhere.host}/v2/files/blobs/${layer.digest}`,
          ];
          Object.assign(layers[1]!, { mediaType, urls });
        },
      );
      await pushImage(registry.host, `${kind}:1`, image);
      const here = `${registry.host}/${kind}:1`;
      registry.intercept = (path) =>
        path.endsWith(layer.digest)
          ? new Response("none", { status: 404 })
          : null;
      await assert.rejects(host.pull(here), /HTTP 404/);
      assert.match(host.logs(), /containerd unpacks it/);
      assert.deepEqual(elsewhere.requests, []);
      await leavesNothing(host);
      registry.intercept = null;
      await pushImage(
        registry.host,
        `${kind}-again:1`, // a failure counts for its repository
        image,
      );
      const again = `${registry.host}/${kind}-again:1`;
      const pulled = outcomes(await host.pull(again));
      assert.deepEqual(pulled.slice(1), ["served", "served"], kind);
      const shown = await seen(host, again, "soci");
      await ctrPull(host.containerd, again);
      elsewhere.requests.length = 0; // containerd asks there
      assert.equal(shown, await seen(host, again, "overlayfs"), kind);
    }
  },
});
