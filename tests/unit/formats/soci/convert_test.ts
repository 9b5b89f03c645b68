import assert from "node:assert/strict";
import {
  type Digest,
  type ImageManifest,
  MEDIA,
  parseIndex,
  parseManifest,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  convertV2,
  encodeIndex,
  makeIndex,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  SociError,
  ztocDescriptor,
} from "../../../../lib/formats/soci/mod.ts";
import { ORDER_MEDIA } from "../../../../lib/formats/order/mod.ts";
import { blob, INDEX_DIGEST } from "../ztoc/fixture.ts";

const utf8 = new TextEncoder();
const json = (value: unknown) => utf8.encode(JSON.stringify(value));
const digestOf = (value: string) => sha256(utf8.encode(value));

const AMD64 = { architecture: "amd64", os: "linux" };
const ARM64 = { architecture: "arm64", os: "linux", variant: "v8" };

function manifest(
  name: string,
  kind: "docker" | "oci" = "oci",
  more: Partial<ImageManifest> = {},
): Uint8Array {
  return json({
    schemaVersion: 2,
    mediaType: kind === "oci" ? MEDIA.ociManifest : MEDIA.dockerManifest,
    config: {
      mediaType: kind === "oci" ? MEDIA.ociConfig : MEDIA.dockerConfig,
      digest: digestOf(`config ${name}`),
      size: 10,
    },
    layers: [{
      mediaType: kind === "oci" ? MEDIA.ociLayerGzip : MEDIA.dockerLayerGzip,
      digest: digestOf(`layer ${name}`),
      size: 1000,
    }],
    ...more,
  });
}

function soci(name: string): Uint8Array {
  return encodeIndex(makeIndex({
    layers: [ztocDescriptor({
      digest: digestOf(`ztoc ${name}`),
      size: 50,
      layer: {
        mediaType: MEDIA.ociLayerGzip,
        digest: digestOf(`layer ${name}`),
      },
      spanSizeBytes: 4194304,
    })],
  }));
}

function child(bytes: Uint8Array, platform: object, mediaType: string) {
  return { mediaType, digest: sha256(bytes), size: bytes.length, platform };
}

Deno.test("a single manifest gets an image index that binds it to its SOCI index", () => {
  const bytes = manifest("a", "docker");
  const indexBytes = soci("a");
  const result = convertV2({
    source: { mediaType: MEDIA.dockerManifest, bytes },
    platform: AMD64,
    sociIndexes: new Map([[sha256(bytes), indexBytes]]),
  });
  const image = result.manifests.get(sha256(bytes))!;
  const index = parseIndex(result.index.bytes);
  assert.equal(index.mediaType, MEDIA.ociIndex);
  const annotations = { [SOCI_ANNOTATION.indexDigest]: sha256(indexBytes) };
  assert.deepEqual(index.manifests, [
    {
      mediaType: MEDIA.ociManifest,
      digest: sha256(image.bytes),
      size: image.bytes.length,
      annotations,
      platform: AMD64,
    },
    {
      mediaType: MEDIA.ociManifest,
      digest: sha256(indexBytes),
      size: indexBytes.length,
      annotations: {
        [SOCI_ANNOTATION.imageManifestDigest]: sha256(image.bytes),
      },
      platform: AMD64,
      artifactType: SOCI_MEDIA.indexV2,
    },
  ]);
  const converted = parseManifest(image.bytes);
  const before = parseManifest(bytes);
  assert.equal(converted.config.mediaType, MEDIA.ociConfig);
  assert.equal(converted.config.digest, before.config.digest);
  assert.deepEqual(converted.layers, before.layers);
  assert.deepEqual(converted.annotations, annotations);
  assert.equal(result.index.descriptor.digest, sha256(result.index.bytes));
});

Deno.test("in an index only what must change does", () => {
  const amd = manifest("amd");
  const arm = manifest("arm", "docker", { annotations: { "a<b": "c&d" } });
  const plain = manifest("plain");
  const far = manifest("far");
  const attestation = manifest("attestation");
  const source = json({
    schemaVersion: 2,
    mediaType: MEDIA.dockerIndex,
    manifests: [
      { ...child(amd, AMD64, MEDIA.ociManifest), data: "b2xk" },
      child(arm, ARM64, MEDIA.dockerManifest),
      child(plain, { ...AMD64, architecture: "386" }, MEDIA.ociManifest),
      child(far, { ...AMD64, architecture: "s390x" }, MEDIA.dockerManifest),
      {
        ...child(
          attestation,
          { architecture: "unknown", os: "unknown" },
          MEDIA.ociManifest,
        ),
        annotations: { "vnd.docker.reference.digest": sha256(amd) },
      },
    ],
    annotations: { kept: "yes" },
  });
  const here = [amd, arm, plain, attestation];
  const result = convertV2({
    source: { mediaType: MEDIA.dockerIndex, bytes: source },
    manifests: new Map(here.map((bytes) => [sha256(bytes), bytes])),
    sociIndexes: new Map([[sha256(amd), soci("amd")]]),
  });
  const index = parseIndex(result.index.bytes);
  assert.deepEqual(index.annotations, { kept: "yes" });
  const [newAmd, newArm, newPlain, newFar, newAttestation, newSoci] =
    index.manifests;
  assert.equal(index.manifests.length, 6);
  assert.deepEqual([...result.manifests.keys()], [sha256(amd), sha256(arm)]);
  assert.notEqual(newAmd!.digest, sha256(amd));
  assert.equal(newAmd!.data, undefined, "data of the bytes it had");
  assert.equal(newArm!.mediaType, MEDIA.ociManifest);
  assert.deepEqual(newArm!.annotations, { "a<b": "c&d" });
  assert.deepEqual(newArm!.platform, ARM64);
  assert.equal(newPlain!.digest, sha256(plain));
  assert.equal(newFar!.digest, sha256(far));
  assert.equal(newFar!.mediaType, MEDIA.dockerManifest);
  assert.equal(newAttestation!.digest, sha256(attestation));
  assert.equal(
    newAttestation!.annotations!["vnd.docker.reference.digest"],
    newAmd!.digest,
  );
  assert.equal(newSoci!.artifactType, SOCI_MEDIA.indexV2);
  assert.deepEqual(newSoci!.platform, AMD64);
});

Deno.test("converting again changes nothing, and a new SOCI index replaces the old", () => {
  const bytes = manifest("a");
  const first = convertV2({
    source: { mediaType: MEDIA.ociManifest, bytes },
    platform: AMD64,
    sociIndexes: new Map([[sha256(bytes), soci("a")]]),
  });
  const image = [...first.manifests.values()][0]!;
  const again = (name: string) =>
    convertV2({
      source: first.index,
      manifests: new Map<Digest, Uint8Array>([
        [image.descriptor.digest, image.bytes],
        [sha256(soci("a")), soci("a")],
      ]),
      sociIndexes: new Map([[image.descriptor.digest, soci(name)]]),
    });
  assert.deepEqual(again("a").index.bytes, first.index.bytes);
  const replaced = parseIndex(again("b").index.bytes).manifests;
  assert.equal(replaced.length, 2);
  assert.equal(replaced[1]!.digest, sha256(soci("b")));
  assert.equal(
    replaced[0]!.annotations![SOCI_ANNOTATION.indexDigest],
    sha256(soci("b")),
  );
});

Deno.test("an image with no SOCI index is not converted, nor is v1 bound", () => {
  const bytes = manifest("a");
  const source = { mediaType: MEDIA.ociManifest, bytes };
  const code = (wanted: string) => (error: unknown) =>
    error instanceof SociError && error.code === wanted;
  assert.throws(
    () => convertV2({ source, sociIndexes: new Map() }),
    code("empty"),
  );
  assert.throws(() =>
    convertV2({
      source,
      sociIndexes: new Map([[sha256(bytes), blob(INDEX_DIGEST)]]),
    }), code("invalid"));
});

Deno.test("load orders are listed behind the SOCI indexes; those of an earlier conversion make way", () => {
  const order = (name: string, platform: typeof AMD64) => ({
    ...child(manifest(`order ${name}`), platform, MEDIA.ociManifest),
    platform,
    artifactType: ORDER_MEDIA.artifact,
  });
  const bytes = manifest("a");
  const digest = sha256(bytes);
  const sociIndexes = new Map([[digest, soci("a")]]);
  const plain = {
    source: { mediaType: MEDIA.ociManifest, bytes },
    platform: AMD64,
    sociIndexes,
  };
  const types = (index: Uint8Array) =>
    parseIndex(index).manifests.map(({ artifactType }) => artifactType);
  const without = convertV2(plain);
  assert.deepEqual(convertV2({ ...plain, beside: [] }), without);
  const [first, second] = [order("1", AMD64), order("2", AMD64)];
  const once = convertV2({ ...plain, beside: [first, second] });
  assert.deepEqual(types(once.index.bytes), [
    ...[undefined, SOCI_MEDIA.indexV2],
    ...[ORDER_MEDIA.artifact, ORDER_MEDIA.artifact],
  ]);
  const [image] = once.manifests.values();
  const again = (beside: (typeof first)[]) =>
    convertV2({
      source: once.index,
      manifests: new Map([[image!.descriptor.digest, image!.bytes]]),
      sociIndexes: new Map([[image!.descriptor.digest, soci("a")]]),
      beside,
    });
  assert.deepEqual(again([first, second]).index.bytes, once.index.bytes);
  const third = order("3", AMD64);
  assert.deepEqual(
    parseIndex(again([third]).index.bytes).manifests.slice(2),
    [third],
  );
});
