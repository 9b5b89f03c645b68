import assert from "node:assert/strict";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import type {
  ContentId,
  ImageSource,
} from "../../../../lib/remote/content/mod.ts";
import {
  ImageError,
  type IndexedImage,
  layerIdentity,
  layerLabels,
  layerOfChain,
  PlatformNotFoundError,
  readFamily,
} from "../../../../lib/remote/image/mod.ts";
import { chainIdOf } from "../../../../lib/remote/image/chain.ts";
import { parseReference } from "../../../../lib/remote/registry/mod.ts";

const utf8 = new TextEncoder();
const digestOf = (text: string) => sha256(utf8.encode(text));
const layerOf = (text: string): Descriptor => ({
  mediaType: MEDIA.ociLayerGzip,
  digest: digestOf(`blob ${text}`),
  size: 7,
});

/** A place in memory that counts what is read. */
class Memory implements ImageSource {
  readonly place = "memory";
  readonly imageName = "registry.example/app:1";
  readonly read: Digest[] = [];
  readonly #content = new Map<Digest, Uint8Array>();
  #root: Descriptor | null = null;

  put(mediaType: string, value: unknown): Descriptor {
    const bytes = typeof value === "string"
      ? utf8.encode(value)
      : utf8.encode(JSON.stringify(value));
    const digest = sha256(bytes);
    this.#content.set(digest, bytes);
    this.#root = { mediaType, digest, size: bytes.length };
    return this.#root;
  }

  /** An image whose config lists these diff IDs. */
  addImage(
    layers: readonly Descriptor[],
    config: unknown,
  ): Descriptor {
    return this.put(MEDIA.ociManifest, {
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: this.put(MEDIA.ociConfig, config),
      layers,
    });
  }

  image(): Promise<Descriptor> {
    return Promise.resolve(this.#root!);
  }

  has({ digest }: ContentId): Promise<boolean> {
    return Promise.resolve(this.#content.has(digest));
  }

  bytes({ digest }: ContentId): Promise<Uint8Array> {
    this.read.push(digest);
    const bytes = this.#content.get(digest);
    return bytes === undefined
      ? Promise.reject(new Error(`no ${digest}`))
      : Promise.resolve(bytes);
  }

  stream(): Promise<ReadableStream<Uint8Array>> {
    return Promise.reject(new Error("nobody reads layers here"));
  }
}

const rootfs = (...ids: readonly unknown[]) => ({
  os: "linux",
  architecture: "amd64",
  rootfs: { type: "layers", diff_ids: ids },
});

async function layersOf(layers: readonly Descriptor[], config: unknown) {
  const place = new Memory();
  place.addImage(layers, config);
  const family = await readFamily(place);
  const image = await family.one(undefined);
  return { place, image, layers: await image.layers() };
}

const [a, b, c] = ["a", "b", "c"].map(layerOf) as [
  Descriptor,
  Descriptor,
  Descriptor,
];
const [idA, idB, idC] = ["a", "b", "c"].map(digestOf) as [
  Digest,
  Digest,
  Digest,
];

Deno.test("layers have the diff IDs and chain IDs of their positions", async () => {
  const { layers } = await layersOf([a, b, c], rootfs(idA, idB, idC));
  const second = digestOf(`${idA} ${idB}`);
  const third = digestOf(`${second} ${idC}`);
  assert.deepEqual(
    layers.map(({ position, diffId, chainId, parent }) => [
      position,
      diffId,
      chainId,
      parent,
    ]),
    [[0, idA, idA, ""], [1, idB, second, idA], [2, idC, third, second]],
  );
  assert.equal(chainIdOf(idA, idB), second);
});

Deno.test("a blob that stands twice in an image is two layers", async () => {
  const { layers } = await layersOf([a, b, a], rootfs(idA, idB, idA));
  assert.deepEqual(layers.map(({ diffId }) => diffId), [idA, idB, idA]);
  assert.equal(new Set(layers.map(({ chainId }) => chainId)).size, 3);
});

Deno.test("the workload is what the image's label names, if that can be a name", async () => {
  const workloadOf = async (config: unknown) => {
    const { image } = await layersOf([a], { ...rootfs(idA), config });
    return (await image.config()).workload;
  };
  const labelled = (value: unknown) => ({
    Labels: { other: "x", "soci-deno.workload": value },
  });
  assert.equal(await workloadOf(labelled("batch")), "batch");
  for (const value of ["", "../..", "Web", 7, null, ["web"], "w".repeat(65)]) {
    assert.equal(await workloadOf(labelled(value)), null, String(value));
  }
  const odd = [undefined, null, 7, { Labels: null }, { Labels: "soci" }, []];
  for (const config of odd) assert.equal(await workloadOf(config), null);
});

Deno.test("a configuration that does not fit its manifest is an error that names the image", async () => {
  const cases: [unknown, RegExp][] = [
    [rootfs(idA), /lists 1 diff IDs for 2 layers/],
    [rootfs(idA, idB, idC), /lists 3 diff IDs for 2 layers/],
    [rootfs(idA, "sha256:short"), /lists no diff IDs/],
    [{ rootfs: null }, /lists no diff IDs/],
    [[], /lists no diff IDs/],
    ["no JSON", /lists no diff IDs/],
    [null, /lists no diff IDs/],
  ];
  for (const [config, why] of cases) {
    await assert.rejects(
      layersOf([a, b], config),
      (error) =>
        error instanceof ImageError && why.test(error.message) &&
        error.message.includes("registry.example/app:1"),
    );
  }
  await assert.rejects(
    layersOf([a, b, a], rootfs(idA, idB, idC)),
    /gives layer .* two diff IDs/,
  );
});

Deno.test("a configuration too large to look at is an error and is not read", async () => {
  const place = new Memory();
  const config = { ...place.put(MEDIA.ociConfig, {}), size: 8 * 2 ** 20 + 1 };
  place.put(MEDIA.ociManifest, { schemaVersion: 2, config, layers: [a] });
  const image = await (await readFamily(place)).one(undefined);
  assert.equal(image.platform, null);
  await assert.rejects(image.layers(), /too many to be looked at/);
  assert.ok(!place.read.includes(config.digest));
});

Deno.test("every document of an image is read once, whatever is asked of it", async () => {
  const place = new Memory();
  const plain = ["amd64", "arm64"].map((architecture) =>
    place.addImage([a], { ...rootfs(idA), architecture })
  );
  place.put(MEDIA.ociIndex, { schemaVersion: 2, manifests: plain });
  const family = await readFamily(place);
  const platforms = [{ os: "linux", architecture: "arm64" }];
  const [chosen] = await family.choose({ platforms }); // the index names no platforms
  const image = await family.image(chosen!);
  assert.equal(image.descriptor.digest, plain[1]!.digest);
  assert.equal(image.platform?.architecture, "arm64");
  await Promise.all([image.layers(), image.layers(), image.config()]);
  assert.equal(await family.one(platforms[0]), image);
  assert.equal(new Set(place.read).size, place.read.length);
  assert.equal(place.read.length, 5);
});

Deno.test("what failed to come is asked for again", async () => {
  const place = new Memory();
  const config = { mediaType: MEDIA.ociConfig, digest: idC, size: 2 };
  place.put(MEDIA.ociManifest, { schemaVersion: 2, config, layers: [a] });
  const family = await readFamily(place);
  await assert.rejects(family.one(undefined));
  place.put(MEDIA.ociConfig, "c"); // the digest of idC's text
  const image = await family.one(undefined);
  assert.equal(image.platform, null);
});

Deno.test("an image without the platform asked for is an error that lists what there is", async () => {
  const place = new Memory();
  place.addImage([a], rootfs(idA));
  const family = await readFamily(place);
  await assert.rejects(
    family.one({ os: "linux", architecture: "s390x" }),
    (error) =>
      error instanceof PlatformNotFoundError &&
      /linux\/s390x: not found; the image has linux\/amd64/.test(error.message),
  );
});

Deno.test("an index of very many images that do not say their platform costs a bounded number of reads", async () => {
  const place = new Memory();
  const manifests = Array.from(
    { length: 500 },
    (_, at) => place.addImage([a], { ...rootfs(idA), architecture: `x${at}` }),
  );
  place.put(MEDIA.ociIndex, { schemaVersion: 2, manifests });
  const family = await readFamily(place);
  await assert.rejects(
    family.one({ os: "linux", architecture: "x499" }),
    PlatformNotFoundError,
  );
  assert.equal(
    (await family.one({ os: "linux", architecture: "x3" })).descriptor.digest,
    manifests[3]!.digest,
  );
  assert.ok(place.read.length <= 1 + 32 * 2 * 2, `${place.read.length} reads`);
});

Deno.test("indexes and attestations are members of a family and no images", async () => {
  const place = new Memory();
  const image = place.addImage([a], rootfs(idA));
  const manifests = [
    { ...image, platform: { os: "linux", architecture: "amd64" } },
    { ...image, platform: { os: "unknown", architecture: "unknown" } },
    { ...image, artifactType: "application/vnd.example" },
  ];
  place.put(MEDIA.ociIndex, { schemaVersion: 2, manifests });
  const family = await readFamily(place);
  assert.equal(family.members.length, 3);
  assert.equal(family.images.length, 1);
});

Deno.test("labels say of a layer what is read from them", async () => {
  const { layers } = await layersOf([a, b, c], rootfs(idA, idB, idC));
  const about = {
    imageRef: "registry.example/app:1",
    manifestDigest: digestOf("manifest"),
    indexDigest: digestOf("index"),
  };
  const labels = layerLabels(about, layers, layers[1]!);
  assert.deepEqual(layerIdentity(labels), { ...about, layerDigest: b.digest });
  assert.equal(
    labels["containerd.io/snapshot/cri.image-layers"],
    `${b.digest},${c.digest}`,
  );
  const unnamed = layerLabels(
    { ...about, indexDigest: null },
    layers,
    layers[0]!,
  );
  assert.equal(layerIdentity(unnamed)?.indexDigest, null);
  assert.equal(layerIdentity({}), null);
  assert.equal(
    layerIdentity({
      ...labels,
      "containerd.io/snapshot/cri.layer-digest": "md5:1",
    }),
    null,
  );
  const many = Array.from({ length: 200 }, (_, position) => ({
    ...layers[0]!,
    position,
  }));
  const [key, value] = Object.entries(layerLabels(about, many, many[0]!))
    .find(([name]) => name.endsWith("image-layers"))!;
  assert.ok(key.length + value.length <= 4096);
  assert.ok(key.length + value.length > 4096 - 72, "as many as fit");
});

Deno.test("the labels of nerdctl's `--soci-index-digest` name the index, and without the flag none", async () => {
  const { layers } = await layersOf([a, b], rootfs(idA, idB));
  const about = {
    imageRef: "registry.example/app:1",
    manifestDigest: digestOf("manifest"),
    indexDigest: null,
  };
  const cri = layerLabels(about, layers, layers[1]!);
  for (const index of [digestOf("index"), null]) {
    // As `pkg/snapshotterutil/socisource.go` of nerdctl 2 writes them.
    const labels = {
      ...cri,
      "containerd.io/snapshot/remote/soci.size": "100",
      "containerd.io/snapshot/remote/image.layers.size": "100",
      "containerd.io/snapshot/remote/soci.index.digest": index ?? "",
    };
    assert.equal(layerIdentity(labels)?.indexDigest, index);
  }
});

Deno.test("the layer of a snapshot is the one at its chain ID, and must be the one that is named", async () => {
  const { image, layers } = await layersOf([a, b, a], rootfs(idA, idB, idA));
  const indexed: IndexedImage = {
    reference: parseReference("registry.example/app:1"),
    descriptor: image.descriptor,
    layers,
    index: null,
    companion: null,
    compressedZtocs: Promise.resolve(new Map()),
    orders: [],
    workload: null,
    policy: null,
    roundTripMs: 0,
  };
  for (const layer of layers) {
    const { chainId, descriptor, position } = layer;
    const parentChain = layers[position - 1]?.chainId ?? "";
    const chain = { chainId, parentChain };
    assert.equal(layerOfChain(indexed, chain, descriptor.digest), layer);
    assert.throws(() => layerOfChain(indexed, chain, idC), ImageError);
    for (const other of ["", idC, ...layers.map(({ chainId }) => chainId)]) {
      if (other === parentChain) continue;
      assert.throws(
        () =>
          layerOfChain(
            indexed,
            { chainId, parentChain: other },
            descriptor.digest,
          ),
        /is to be on/,
      );
    }
  }
  assert.throws(
    () => layerOfChain(indexed, { chainId: idC, parentChain: "" }, a.digest),
    ImageError,
  );
});
