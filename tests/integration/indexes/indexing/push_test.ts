import assert from "node:assert/strict";
import {
  ContentError,
  LayoutFolder,
  openLocalImage,
  RegistryPlace,
} from "../../../../lib/remote/content/mod.ts";
import {
  convertImage,
  inspectImage,
  type PushOptions,
  pushTree,
  putIndexV1,
} from "../../../../lib/indexes/indexing/mod.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
import { parseIndex } from "../../../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { fallbackTag } from "../../../../lib/remote/registry/referrers_tag.ts";
import { discoverIndex } from "../../../../lib/remote/image/mod.ts";
import { SOCI_MEDIA } from "../../../../lib/formats/soci/mod.ts";
import {
  imageIndex,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";
import { build, openPlaces } from "../../../unit/indexes/indexing/places.ts";

const IMAGE = makeImage({
  layers: [1, 2, 3, 4].map((seed) =>
    layerBlob(new TarBuilder().file("f", incompressible(50_000, seed)))
  ),
  platform: { os: "linux", architecture: "amd64" },
});

/** A registry with the image, and its index v1 in a layout. */
async function openScene(options: { referrersApi?: boolean } = {}) {
  const registry = startRegistry(options);
  const places = await openPlaces(IMAGE);
  const client = new RegistryClient({ retry: { retries: 0 } });
  const reference = parseReference(`${registry.host}/a/b:1`);
  const [built] = await build(places);
  const made = await putIndexV1(places.sink, built!);
  return {
    ...places,
    registry,
    client,
    reference,
    remote: new RegistryPlace(client, reference),
    made,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await places[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

type Scene = Awaited<ReturnType<typeof openScene>>;

async function push(
  { sink, remote, made }: Scene,
  options: Partial<PushOptions> = {},
) {
  const told: string[] = [];
  await pushTree(made.descriptor, {
    source: sink,
    sink: remote,
    concurrency: 2,
    onArtifact: (digest, what) => told.push(`${what} ${digest}`),
    ...options,
  });
  return told;
}

Deno.test("an index goes after its ztocs, beside an image that is there", async () => {
  await using scene = await openScene();
  await assert.rejects(
    push(scene),
    (error) =>
      error instanceof ContentError && error.kind === "not-found" &&
      /push the image first/.test(error.message),
  );
  await pushImage(scene.registry.host, "a/b:1", IMAGE);
  const told = await push(scene);
  assert.equal(told.at(-1), `pushed ${scene.made.descriptor.digest}`);
  assert.equal(told.filter((line) => line.startsWith("pushed")).length, 6);
  const [listed] = await scene.client.referrers(
    scene.reference,
    IMAGE.digest,
    SOCI_MEDIA.indexV1,
  );
  assert.equal(listed?.digest, scene.made.descriptor.digest);
});

Deno.test("no more uploads are under way than allowed", async () => {
  await using scene = await openScene();
  await pushImage(scene.registry.host, "a/b:1", IMAGE);
  for (const concurrency of [1, 3]) {
    let running = 0;
    let most = 0;
    const remote = scene.remote;
    await push(scene, {
      concurrency,
      sink: {
        place: remote.place,
        has: ({ digest }) => Promise.resolve(digest === IMAGE.digest),
        bytes: (content) => remote.bytes(content),
        stream: (content) => remote.stream(content),
        tag: () => Promise.resolve(),
        async put() {
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, 10));
          running--;
          return "written";
        },
      },
    });
    assert.equal(most, concurrency);
  }
});

Deno.test("where there is no referrers API, a list that was not written is written by the next push", async () => {
  await using scene = await openScene({ referrersApi: false });
  const { client, reference, made, remote, sink } = scene;
  await pushImage(scene.registry.host, "a/b:1", IMAGE);
  // As a push leaves it that is cut after the manifest and before the list.
  for (const layer of [made.index.config, ...made.index.layers]) {
    await remote.put(layer, await sink.bytes(layer));
  }
  await client.pushManifest(reference, made.bytes, made.descriptor.mediaType);
  const listed = () =>
    client.referrers(reference, IMAGE.digest, SOCI_MEDIA.indexV1);
  assert.deepEqual(await listed(), []);
  await push(scene);
  assert.deepEqual(
    (await listed()).map(({ digest }) => digest),
    [made.descriptor.digest],
  );
  const tag = fallbackTag(IMAGE.digest);
  const { bytes } = await client.manifest(reference, { tag });
  await push(scene);
  const again = await client.manifest(reference, { tag });
  assert.equal(parseIndex(again.bytes).manifests.length, 1);
  assert.deepEqual(again.bytes, bytes);
});

Deno.test("an inspected image tells what its index covers and why not the rest", async () => {
  await using scene = await openScene();
  const { client, reference, remote } = scene;
  await pushImage(scene.registry.host, "a/b:1", IMAGE);
  const inspect = async () => {
    const family = await readFamily(remote);
    const image = await family.image(family.images[0]!);
    const found = await discoverIndex(
      client,
      reference,
      { digest: image.descriptor.digest, bytes: image.bytes },
      { v1: true, v2: true },
    );
    return await inspectImage(image, found, remote);
  };
  const before = await inspect();
  assert.equal(before.index, null);
  assert.equal(before.coveredBytes, 0);
  assert.equal(before.beforeStartBytes, before.totalBytes);
  assert.ok(before.layers.every(({ uncovered }) => uncovered !== null));

  await push(scene);
  const after = await inspect();
  assert.equal(after.index?.digest, scene.made.descriptor.digest);
  assert.equal(after.coveredBytes, after.totalBytes);
  assert.ok(after.beforeStartBytes < after.totalBytes);
  assert.deepEqual(
    after.layers.map(({ ztoc }) => [ztoc?.files, ztoc?.spans]),
    [[1, 1], [1, 1], [1, 1], [1, 1]],
  );
});

Deno.test("a conversion copies all that is here and drops platforms that are not", async () => {
  const other = makeImage({
    layers: IMAGE.layers,
    platform: { os: "linux", architecture: "arm64" },
  });
  await using places = await openPlaces(imageIndex([IMAGE, other]));
  await Deno.remove(
    `${places.folder}/from/blobs/sha256/${other.digest.slice(7)}`,
  );
  const source = await openLocalImage(`${places.folder}/from`);
  const family = await readFamily(source);
  const [built] = await build({
    sink: places.sink,
    source: {
      place: source.place,
      imageName: null,
      image: () => Promise.resolve(IMAGE.descriptor),
      has: (content) => source.has(content),
      bytes: (content) => source.bytes(content),
      stream: (content, options) => source.stream(content, options),
    },
  });
  const { image } = await convertImage({
    source,
    sink: places.sink,
    family,
    built: [built!],
    name: "latest",
    content: "copy",
  });
  const copy = await openLocalImage(places.sink.place);
  assert.equal((await copy.image()).digest, image.digest);
  const { manifests } = parseIndex(await copy.bytes(image));
  assert.deepEqual(
    manifests.map(({ platform }) => platform?.architecture),
    ["amd64", "amd64"],
  );
  const layout = await LayoutFolder.open(places.sink.place);
  for (const layer of built!.image.manifest.layers) {
    assert.equal(await layout.has(layer), true);
  }

  await assert.rejects(
    convertImage({
      source,
      sink: places.sink,
      family,
      built: [{ ...built!, ztocs: [] }],
      name: null,
      content: "copy",
    }),
    /no manifest of the image has a SOCI index/,
  );
});
