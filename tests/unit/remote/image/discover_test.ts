import assert from "node:assert/strict";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import type { ImageSource } from "../../../../lib/remote/content/mod.ts";
import { RegistryError } from "../../../../lib/remote/registry/mod.ts";
import {
  discoverIndex,
  type DiscoverOptions,
  ImageFamily,
  type IndexSource,
} from "../../../../lib/remote/image/mod.ts";
import {
  encodeIndex,
  makeIndex,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  SociError,
  ztocDescriptor,
} from "../../../../lib/formats/soci/mod.ts";
import {
  ORDER_ANNOTATION,
  ORDER_MEDIA,
} from "../../../../lib/formats/order/mod.ts";
import { blob, INDEX_DIGEST } from "../../formats/ztoc/fixture.ts";

const IMAGE =
  "sha256:4b2985df24f11530d66efb6ad7cd05b6acb664c6c368162c0c2ce22ba349df4d" as Digest;
const utf8 = new TextEncoder();

const layers = [ztocDescriptor({
  digest: sha256(utf8.encode("ztoc")),
  size: 9,
  layer: { mediaType: "x", digest: sha256(utf8.encode("layer")) },
  spanSizeBytes: 4,
})];
const v2 = encodeIndex(makeIndex({ layers }));
const v1 = blob(INDEX_DIGEST);
const otherV1 = encodeIndex(makeIndex({
  layers,
  subject: { mediaType: "m", digest: sha256(utf8.encode("image")), size: 5 },
}));

/** A source of these manifests; referrers are given as bytes too. */
function sourceOf(stored: Uint8Array[], referrers: Uint8Array[] = []) {
  const asked: string[] = [];
  const source: IndexSource<string> = {
    manifest: (_, { digest }) => {
      asked.push(digest);
      const bytes = [...stored, ...referrers].find((b) => sha256(b) === digest);
      if (bytes !== undefined) return Promise.resolve({ bytes });
      return Promise.reject(
        new RegistryError({
          kind: "not-found",
          host: "h",
          repository: "r",
          detail: "not there",
        }),
      );
    },
    referrers: (_, digest, artifactType) => {
      asked.push(artifactType);
      assert.equal(digest, IMAGE);
      return Promise.resolve(referrers.map((bytes): Descriptor => ({
        mediaType: "m",
        digest: sha256(bytes),
        size: bytes.length,
      })));
    },
  };
  return { source, asked };
}

function image(indexDigest?: string): { digest: Digest; bytes: Uint8Array } {
  const manifest = JSON.parse(new TextDecoder().decode(blob(IMAGE)));
  if (indexDigest !== undefined) {
    manifest.annotations = { [SOCI_ANNOTATION.indexDigest]: indexDigest };
  }
  return { digest: IMAGE, bytes: utf8.encode(JSON.stringify(manifest)) };
}

const discover = (
  { source }: ReturnType<typeof sourceOf>,
  from: Parameters<typeof discoverIndex>[2],
  options: Partial<DiscoverOptions> = {},
) => discoverIndex(source, "repo", from, { v1: true, v2: true, ...options });

const isSociError = (code: string) => (error: unknown) =>
  error instanceof SociError && error.code === code;

Deno.test("an index asked for by digest is used and no other", async () => {
  const source = sourceOf([v2], [v1]);
  const found = await discover(source, image(INDEX_DIGEST), {
    explicitDigest: sha256(v2),
    v1: false,
    v2: false,
  });
  assert.equal(found?.via, "explicit");
  assert.equal(found.version, 2);
  assert.deepEqual(found.bytes, v2);
  assert.deepEqual(source.asked, [sha256(v2)]);
});

Deno.test("the index an image names is found before referrers are asked", async () => {
  const source = sourceOf([v2], [v1]);
  const found = await discover(source, image(sha256(v2)));
  assert.equal(found?.via, "annotation");
  assert.deepEqual(source.asked, [sha256(v2)]);
});

Deno.test("referrers are asked for while the manifest is still on its way", async () => {
  const source = sourceOf([], [v1]);
  const { promise, resolve } = Promise.withResolvers<
    Uint8Array<ArrayBuffer>
  >();
  const { digest, bytes } = image();
  const finding = discover(source, { digest, bytes: promise });
  assert.deepEqual(source.asked, [SOCI_MEDIA.indexV1]);
  resolve(bytes as Uint8Array<ArrayBuffer>);
  assert.equal((await finding)?.digest, INDEX_DIGEST);
});

Deno.test("an index that is named but missing is none", async () => {
  assert.equal(await discover(sourceOf([], [v1]), image(sha256(v2))), null);
});

Deno.test("an image that names no usable v2 index is an error", async () => {
  const named = sourceOf([v1]);
  await assert.rejects(
    discover(named, image(INDEX_DIGEST)),
    isSociError("invalid"),
  );
  await assert.rejects(discover(named, image("x")), isSociError("invalid"));
});

Deno.test("the first referrer that names this image is taken, broken ones passed over", async () => {
  const source = sourceOf([], [utf8.encode("{}"), otherV1, v2, v1]);
  const found = await discover(source, image());
  assert.equal(found?.via, "referrers");
  assert.equal(found.version, 1);
  assert.equal(found.digest, INDEX_DIGEST);
  assert.equal(source.asked[0], SOCI_MEDIA.indexV1);
});

Deno.test("only broken referrers are an error, none or foreign ones are no index", async () => {
  const broken = sourceOf([], [utf8.encode("{}")]);
  await assert.rejects(
    discover(broken, image()),
    isSociError("not-an-index"),
  );
  assert.equal(await discover(sourceOf([]), image()), null);
  assert.equal(await discover(sourceOf([], [otherV1]), image()), null);
});

Deno.test("ways that are closed are not tried", async () => {
  const source = sourceOf([v2], [v1]);
  assert.equal(await discover(source, image(), { v1: false }), null);
  assert.equal(
    await discover(source, image(sha256(v2)), { v1: false, v2: false }),
    null,
  );
  assert.deepEqual(source.asked, []);
  const past = await discover(source, image(sha256(v2)), { v2: false });
  assert.equal(past?.via, "referrers");
});

Deno.test("bytes that are not those of the digest are an error", async () => {
  const source: IndexSource<string> = {
    manifest: () => Promise.resolve({ bytes: v2 }),
    referrers: () => Promise.resolve([]),
  };
  await assert.rejects(
    discoverIndex(source, "repo", image(INDEX_DIGEST), { v1: true, v2: true }),
    isSociError("digest"),
  );
});

Deno.test("a referrer that cannot be had does not hide the one that can", async () => {
  const { source } = sourceOf([], [otherV1, v1]);
  for (const kind of ["forbidden", "too-large", "unavailable"] as const) {
    const odd: IndexSource<string> = {
      referrers: source.referrers,
      manifest: (name, options) =>
        options.digest === sha256(otherV1)
          ? Promise.reject(
            new RegistryError({ kind, host: "h", repository: "r", detail: "" }),
          )
          : source.manifest(name, options),
    };
    const found = await discoverIndex(odd, "repo", image(), {
      v1: true,
      v2: true,
    });
    assert.equal(found?.digest, INDEX_DIGEST);
  }
});

Deno.test("one odd entry of an index of images does not hide the others", () => {
  const good = {
    mediaType: MEDIA.ociManifest,
    digest: IMAGE,
    size: 5,
    platform: { os: "linux", architecture: "amd64" },
  };
  const bytes = utf8.encode(JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: [
      { ...good, digest: `sha512:${"a".repeat(128)}` },
      { ...good, platform: { os: 5 } },
      good,
    ],
  }));
  const descriptor = {
    mediaType: MEDIA.ociIndex,
    digest: sha256(bytes),
    size: bytes.length,
  };
  const source: ImageSource = {
    place: "here",
    imageName: "app",
    image: () => Promise.resolve(descriptor),
    has: () => Promise.resolve(true),
    bytes: () => Promise.resolve(bytes),
    stream: () => Promise.resolve(ReadableStream.from([bytes])),
  };
  const family = new ImageFamily(source, { descriptor, bytes });
  assert.deepEqual(family.images, [good]);
});

const hex = (digit: string) => `sha256:${digit.repeat(64)}` as Digest;
const listed = (
  artifactType: string,
  digit: string,
  annotations?: Record<string, string>,
): Descriptor => ({
  mediaType: MEDIA.ociManifest,
  digest: hex(digit),
  size: 7,
  artifactType,
  ...(annotations && { annotations }),
});

/** Finds the index v1 among a list of referrers. */
async function besideIn(list: readonly Descriptor[]) {
  const { source, asked } = sourceOf([], [v1]);
  const found = await discoverIndex(
    {
      ...source,
      referrers: (_, __, type, { beside }) => {
        asked.push(type, ...beside);
        const index = {
          mediaType: "m",
          digest: INDEX_DIGEST as Digest,
          size: 1,
        };
        return Promise.resolve([...list, index]);
      },
    },
    "repo",
    image(),
    { v1: true, v2: true },
  );
  assert.ok(found !== null);
  return { ...found.beside, asked };
}

Deno.test("companion and load orders come with the answer that lists the index", async () => {
  const beside = await besideIn([
    listed(SOCI_MEDIA.companion, "1", {
      [SOCI_ANNOTATION.companionOf]: hex("9"),
    }),
    listed(SOCI_MEDIA.companion, "2"),
    listed(SOCI_MEDIA.companion, "3", {
      [SOCI_ANNOTATION.companionOf]: INDEX_DIGEST,
    }),
    listed(ORDER_MEDIA.artifact, "4", {
      [ORDER_ANNOTATION.workload]: "web",
      [ORDER_ANNOTATION.platform]: "linux/amd64",
    }),
    listed(ORDER_MEDIA.artifact, "5", {
      [ORDER_ANNOTATION.workload]: "x".repeat(1000),
    }),
  ]);
  assert.equal(beside.companion?.digest, hex("3"));
  assert.deepEqual(
    beside.orders.map(({ descriptor: { digest, annotations }, ...order }) => ({
      ...order,
      digest,
      annotations,
    })),
    [
      {
        digest: hex("4"),
        annotations: undefined,
        workload: "web",
        platform: "linux/amd64",
        isPinned: false,
      },
      {
        digest: hex("5"),
        annotations: undefined,
        workload: "default",
        platform: "",
        isPinned: false,
      },
    ],
  );
  assert.deepEqual(beside.asked, [
    SOCI_MEDIA.indexV1,
    SOCI_MEDIA.companion,
    ORDER_MEDIA.artifact,
    INDEX_DIGEST,
  ]);
});

Deno.test("another index's companion is none, one that names no index may be ours", async () => {
  const other = listed(SOCI_MEDIA.companion, "1", {
    [SOCI_ANNOTATION.companionOf]: hex("9"),
  });
  assert.equal((await besideIn([other])).companion, null);
  const unsaid = listed(SOCI_MEDIA.companion, "2");
  assert.equal(
    (await besideIn([other, unsaid])).companion?.digest,
    hex("2"),
  );
});

Deno.test("load orders without number are cut", async () => {
  const many = Array.from(
    { length: 5000 },
    () => listed(ORDER_MEDIA.artifact, "4"),
  );
  const { orders } = await besideIn(many);
  assert.ok(orders.length > 0 && orders.length < 100);
});

Deno.test("an index v2 names companion and load orders, and no referrers are asked for", async () => {
  const index = makeIndex({ layers });
  const bytes = encodeIndex({
    ...index,
    annotations: {
      ...index.annotations,
      [SOCI_ANNOTATION.companion]: hex("1"),
      [ORDER_ANNOTATION.pins]: `web=${hex("2")} no=digest ${hex("3")}`,
    },
  });
  const source = sourceOf([bytes], [v1]);
  const { beside } = (await discover(source, image(sha256(bytes))))!;
  assert.equal(beside.companion?.digest, hex("1"));
  assert.deepEqual(
    beside.orders.map(({ descriptor, workload, isPinned }) => [
      descriptor.digest,
      workload,
      isPinned,
    ]),
    [[hex("2"), "web", true], [hex("3"), "default", true]],
  );
  assert.deepEqual(source.asked, [sha256(bytes)]);
  // Asked for by digest, the image's own digest does not cover it.
  const explicit = await discover(source, image(), {
    explicitDigest: sha256(bytes),
  });
  assert.equal(explicit?.beside.orders[0]?.isPinned, false);
});
