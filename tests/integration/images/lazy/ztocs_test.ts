import assert from "node:assert/strict";
import { constants, zstdCompressSync } from "node:zlib";
import { ZtocFetcher } from "../../../../lib/images/lazy/ztocs.ts";
import {
  buildZtocs,
  convertImage,
  existingIndexLedger,
  putIndexV1,
} from "../../../../lib/indexes/indexing/mod.ts";
import {
  type Descriptor,
  type Digest,
  parseIndex,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  encodeCompanion,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
} from "../../../../lib/formats/soci/mod.ts";
import { splitZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import {
  type IndexedImage,
  readFamily,
  readIndexedImage,
  ztocOf,
} from "../../../../lib/remote/image/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  incompressible,
  joinBytes,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";

const REPOSITORY = "team/app";
/** Two layers whose compressed ztocs are blobs, and one whose is in the companion itself. */
const IMAGE = makeImage({
  layers: [1, 2].map((seed) =>
    layerBlob(new TarBuilder().file("f", incompressible(300_000, seed)))
  ).concat(layerBlob(new TarBuilder().file("small", "small"))),
});
const { signal } = new AbortController();

/** An image with index and companion at a registry. */
async function openScene() {
  const registry = startRegistry();
  const client = new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } });
  await pushImage(registry.host, `${REPOSITORY}:1`, IMAGE);
  const reference = parseReference(`${registry.host}/${REPOSITORY}:1`);
  const place = new RegistryPlace(client, reference);
  const build = async (known = false) => {
    const family = await readFamily(place);
    const image = await family.one(undefined);
    const ledger = known
      ? await existingIndexLedger(client, reference, image, {
        content: place,
        signal,
      })
      : null;
    const built = await buildZtocs(image, {
      source: place,
      sink: place,
      spanSizeBytes: 100_000,
      minLayerSizeBytes: 0,
      ledgers: ledger === null ? [] : [ledger],
      force: false,
      withCompanion: true,
      windows: known ? "used" : "all", // either will do where one is known
      optimizeXattrs: false,
      prefetchFiles: [],
      concurrency: 1,
      signal,
    });
    return { built, made: await putIndexV1(place, built) };
  };
  const { built, made } = await build();
  registry.requests.length = 0;
  return {
    registry,
    client,
    reference,
    built,
    made,
    build,
    read: () =>
      readIndexedImage(client, reference, IMAGE.digest, {
        v1: true,
        v2: true,
        withCompanion: true,
      }),
    /** Fetches the ztocs of all layers; those that are not right by their digest count as failed. */
    async fetchAll(image: IndexedImage) {
      const fetcher = new ZtocFetcher(client);
      const ztocs = image.layers.map(({ descriptor }) =>
        ztocOf(image, descriptor.digest)!
      );
      const fetched = await Promise.all(
        ztocs.map((ztoc) => fetcher.fetch({ image, ztoc }, signal)),
      );
      assert.deepEqual(
        fetched.map(sha256),
        ztocs.map(({ digest }) => digest),
      );
    },
    /** Which ztocs were asked for as they are. */
    asked: () =>
      built.ztocs.filter(({ digest }) =>
        registry.requests.some(({ path }) => path.endsWith(digest))
      ).length,
    /** What its companion says instead. */
    async replace(ztocs: readonly Descriptor[], subject = IMAGE.digest) {
      const image = await this.read();
      const { mediaType, size } = image.descriptor;
      registry.store.repositories.get(REPOSITORY)!.manifests.delete(
        made.companion!,
      );
      registry.addManifest(
        REPOSITORY,
        encodeCompanion({
          ztocs,
          subject: { mediaType, size, digest: subject },
          index: made.descriptor.digest,
        }),
      );
      registry.requests.length = 0;
    },
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

type Scene = Awaited<ReturnType<typeof openScene>>;

Deno.test("ztocs come as the companion has them, and it is asked for with the index", async () => {
  await using scene = await openScene();
  const { registry, made, built } = scene;
  const image = await scene.read();
  assert.equal(image.companion?.digest, made.companion);
  await scene.fetchAll(image);
  assert.equal(scene.asked(), 0);
  const paths = registry.requests.map(({ path }) => path.split("/").at(-1));
  assert.equal(
    paths.filter((path) => built.compressed.some((one) => one.digest === path))
      .length,
    2,
    "a small one lies in the companion",
  );
  // Manifest and referrers; config, index and companion; ztocs.
  assert.equal(paths.length, 2 + 3 + 2);
  assert.deepEqual(
    new Set(paths.slice(2, 5)),
    new Set([IMAGE.configDigest, made.descriptor.digest, made.companion]),
  );
});

Deno.test("an image indexed again keeps index and companion, and no ztoc is read for it", async () => {
  await using scene = await openScene();
  const { made, built } = await scene.build(true);
  assert.equal(made.descriptor.digest, scene.made.descriptor.digest);
  assert.equal(made.companion, scene.made.companion);
  assert.deepEqual(
    new Set(built.layers.map(({ outcome }) => outcome.kind)),
    new Set(["reused"]),
  );
  assert.ok(
    !scene.registry.requests.some(({ method, path }) =>
      method === "GET" &&
      scene.built.ztocs.some(({ digest }) => path.endsWith(digest))
    ),
  );
});

Deno.test("an index v2 names its companion, which comes without a request for referrers", async () => {
  await using scene = await openScene();
  const { registry, client, reference, built } = scene;
  const place = new RegistryPlace(client, reference);
  const convert = async (from: string, compressed = built.compressed) => {
    const source = new RegistryPlace(client, reference.withTag(from));
    const family = await readFamily(source);
    const image = await family.one(undefined);
    return await convertImage({
      source,
      sink: place,
      family,
      built: [{ ...built, image, compressed }],
      name: "v2",
      content: "share",
    });
  };
  const converted = await convert("1");
  const [index] = converted.indexes;
  const read = () =>
    readIndexedImage(client, reference, index!.manifest, {
      v1: false,
      v2: true,
      withCompanion: true,
    });
  registry.requests.length = 0;
  const image = await read();
  assert.equal(image.index?.via, "annotation");
  assert.equal(image.companion?.digest, index!.companion?.descriptor.digest);
  await scene.fetchAll(image);
  assert.equal(scene.asked(), 0);
  assert.ok(!registry.requests.some(({ path }) => path.includes("referrers")));
  // Tools that copy an image copy what its index lists.
  const manifests = async (digest: Digest) => {
    const { bytes } = await client.manifest(reference, {
      digest,
    });
    return parseIndex(bytes).manifests.map(({ artifactType }) => artifactType);
  };
  assert.deepEqual(await manifests(converted.image.digest), [
    undefined,
    SOCI_MEDIA.indexV2,
    SOCI_MEDIA.companion,
  ]);
  const again = await convert("v2");
  assert.equal(again.image.digest, converted.image.digest);
  const without = await convert("v2", []);
  assert.deepEqual(await manifests(without.image.digest), [
    undefined,
    SOCI_MEDIA.indexV2,
  ]);
});

/** A companion's entry for a ztoc that holds something else. */
function holding(
  { registry }: Scene,
  ztoc: Descriptor,
  bytes: Uint8Array,
): Descriptor {
  return {
    ...registry.addBlob(REPOSITORY, bytes),
    mediaType: SOCI_MEDIA.compressedZtoc,
    annotations: { [SOCI_ANNOTATION.ztocDigest]: ztoc.digest },
  };
}

const zstd = (bytes: Uint8Array, windowLog = 0) =>
  new Uint8Array(zstdCompressSync(bytes, {
    params: windowLog === 0 ? {} : {
      [constants.ZSTD_c_windowLog]: windowLog,
    },
  }));

const FAULTS: Readonly<
  Record<string, (s: Scene, ztoc: Descriptor, good: Uint8Array) => Uint8Array>
> = {
  "holds another ztoc": (_, { size }) => zstd(new Uint8Array(size)),
  "is no zstd": () => incompressible(5000, 9),
  "holds nothing": () => zstd(new Uint8Array(0)),
  "is truncated": (_, __, good) => good.subarray(0, good.length / 2),
  "holds a hundred megabytes": () => zstd(new Uint8Array(100 * 2 ** 20)),
  "asks for a window of 128 MB": (_, { size }) => {
    const bytes = zstd(new Uint8Array(size));
    // A frame without its size: window descriptor 2^27 behind the magic.
    return Uint8Array.of(...bytes.subarray(0, 4), 0, 17 << 3, 1, 0, 0);
  },
  "goes on behind its frame": (_, __, good) =>
    new Uint8Array([...good, ...zstd(new Uint8Array(1000))]),
};

for (const [what, make] of Object.entries(FAULTS)) {
  Deno.test(`a companion that ${what} does no harm`, async () => {
    await using scene = await openScene();
    const { client, reference, built } = scene;
    const entries = await Promise.all(built.ztocs.map(async (ztoc, at) => {
      const compressed = built.compressed[at]!;
      const good = await client.blobBytes(reference, compressed, {
        maxBytes: compressed.size,
      });
      return holding(scene, ztoc, make(scene, ztoc, good));
    }));
    await scene.replace(entries);
    const image = await scene.read();
    assert.ok((await image.compressedZtocs).size > 0);
    await scene.fetchAll(image);
  });
}

const PARTS: Readonly<
  Record<string, (head: Uint8Array, windows: Uint8Array) => Uint8Array[]>
> = {
  "that are right": (head, windows) => [head, windows],
  "with other windows": (head, windows) => [head, windows.map(() => 0)],
  "with too few windows": (head, windows) => [head, windows.slice(32768)],
  "with another head": (head, windows) => [head.fill(1, 8, 2000), windows],
  "with a head of nothing": (head, windows) => [head.slice(0, 0), windows],
};

for (const [what, make] of Object.entries(PARTS)) {
  Deno.test(`a companion with ztocs in two parts ${what} does no harm`, async () => {
    await using scene = await openScene();
    const { client, reference, built, registry } = scene;
    await scene.replace(
      await Promise.all(built.ztocs.map(async (ztoc) => {
        const { head, windows } = splitZtoc(
          await client.blobBytes(reference, ztoc, { maxBytes: ztoc.size }),
        );
        const [first, rest] = make(head, windows).map((part) => zstd(part));
        const blob = joinBytes([first!, rest!]);
        return {
          ...registry.addBlob(REPOSITORY, blob),
          mediaType: SOCI_MEDIA.compressedParts,
          annotations: {
            [SOCI_ANNOTATION.ztocDigest]: ztoc.digest,
            [SOCI_ANNOTATION.ztocHead]: `${first!.length} ${sha256(first!)}`,
          },
        };
      })),
    );
    const image = await scene.read();
    assert.ok((await image.compressedZtocs).size > 0);
    await scene.fetchAll(image);
    assert.equal(scene.asked() === 0, what === "that are right");
  });
}

Deno.test("a companion of no use is not asked again for the layers that follow", async () => {
  await using scene = await openScene();
  const { registry, built, client } = scene;
  await scene.replace(
    built.ztocs.map((ztoc) => holding(scene, ztoc, incompressible(500, 1))),
  );
  const image = await scene.read();
  const fetcher = new ZtocFetcher(client);
  registry.requests.length = 0;
  for (const ztoc of built.ztocs) await fetcher.fetch({ image, ztoc }, signal);
  assert.equal(registry.requests.length, 1 + built.ztocs.length);
});

Deno.test("a companion that is missing, foreign or lists too much is passed over", async () => {
  await using scene = await openScene();
  const { registry, made, built } = scene;
  const good = registry.store.manifest(REPOSITORY, made.companion!)!.bytes;
  for (
    const answer of [
      () => new Response(null, { status: 404 }),
      () => new Response(good.slice(1)),
    ]
  ) {
    registry.intercept = (path) =>
      path.endsWith(made.companion!) ? answer() : null;
    registry.requests.length = 0;
    await scene.fetchAll(await scene.read());
    assert.equal(scene.asked(), 3);
  }
  registry.intercept = null;
  await scene.replace(built.compressed, sha256(new Uint8Array(1)));
  assert.equal((await scene.read()).companion, null, "it is no referrer");
});

Deno.test("a companion's blob that never comes, or by drips, is not waited for", async () => {
  await using scene = await openScene();
  const { registry, client, reference, built } = scene;
  const never = Promise.withResolvers<Response>();
  const good = await client.blobBytes(reference, built.compressed[0]!, {
    maxBytes: 2 ** 20,
  });
  /** A right byte now and then: all of them would take an hour. */
  const drip = () => {
    let at = 0;
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          controller.enqueue(good.slice(at, ++at));
        },
      }, { highWaterMark: 0 }),
    );
  };
  const isCompressed = (path: string) =>
    built.compressed.some(({ digest }) => path.endsWith(digest));
  for (
    const answer of [
      () => never.promise,
      drip,
      () => new Response(null, { status: 503 }),
      () => new Response(null, { status: 404 }),
    ]
  ) {
    registry.intercept = (path) => isCompressed(path) ? answer() : null;
    await scene.fetchAll(await scene.read());
  }
  never.resolve(new Response(null, { status: 503 }));
});

Deno.test("a companion's manifest that never comes is not waited for", async () => {
  await using scene = await openScene();
  const { registry, made } = scene;
  const never = Promise.withResolvers<Response>();
  registry.intercept = (path) =>
    path.endsWith(made.companion!) ? never.promise : null;
  const image = await scene.read();
  await scene.fetchAll(image);
  assert.equal(scene.asked(), 3);
  never.resolve(new Response(null, { status: 503 }));
});
