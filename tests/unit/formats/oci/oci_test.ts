import assert from "node:assert/strict";
import {
  canonicalJson,
  DigestError,
  layerCompression,
  ManifestError,
  matchPlatform,
  MEDIA,
  parseDigest,
  parseIndex,
  parseManifest,
  parsePlatform,
  sha256,
  sha256InSteps,
} from "../../../../lib/formats/oci/mod.ts";

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const descriptor = {
  mediaType: "x/y",
  digest: sha256(new Uint8Array(3)),
  size: 3,
};
const manifest = { schemaVersion: 2, config: descriptor, layers: [descriptor] };

Deno.test("the digest of two bytes of JSON is the one the SOCI config has", () => {
  assert.equal(
    sha256(new TextEncoder().encode("{}")),
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
  );
});

Deno.test("text that is no sha256 digest is refused", () => {
  for (
    const text of [
      "",
      "sha256:",
      `sha256:${"A".repeat(64)}`,
      `sha512:${"a".repeat(128)}`,
    ]
  ) {
    assert.throws(() => parseDigest(text), DigestError);
  }
});

Deno.test("JSON is escaped as Go escapes it, and a backslash before b stays", () => {
  assert.equal(
    canonicalJson({ k: "<&>\u2028" }),
    '{"k":"\\u003c\\u0026\\u003e\\u2028"}',
  );
  assert.equal(canonicalJson("a\\b"), '"a\\\\b"');
});

Deno.test("a manifest without a media type takes the registry's", () => {
  const parsed = parseManifest(encode(manifest), MEDIA.dockerManifest);
  assert.equal(parsed.mediaType, MEDIA.dockerManifest);
  assert.equal(parsed.layers.length, 1);
});

Deno.test("a document that is both manifest and index is refused as either", () => {
  const both = encode({ ...manifest, manifests: [descriptor] });
  assert.throws(() => parseManifest(both), ManifestError);
  assert.throws(() => parseIndex(both), ManifestError);
});

Deno.test("a bad descriptor is told by its place", () => {
  for (
    const bad of [{ ...descriptor, size: -1 }, {
      ...descriptor,
      digest: "sha256:x",
    }, null]
  ) {
    assert.throws(
      () => parseManifest(encode({ ...manifest, layers: [descriptor, bad] })),
      (e) => e instanceof ManifestError && e.message.includes("layers[1]"),
    );
  }
});

Deno.test("text cut short at any place is refused", () => {
  const whole = encode(manifest);
  for (let length = 0; length < whole.length; length++) {
    assert.throws(
      () => parseManifest(whole.subarray(0, length)),
      ManifestError,
    );
  }
});

Deno.test("an image matches by os, architecture and variant", () => {
  assert.ok(
    matchPlatform(
      parsePlatform("linux/arm64"),
      parsePlatform("linux/arm64/v8"),
    ),
  );
  assert.ok(
    !matchPlatform(
      parsePlatform("linux/arm/v6"),
      parsePlatform("linux/arm/v7"),
    ),
  );
  assert.deepEqual(parsePlatform("x86_64"), {
    architecture: "amd64",
    os: "linux",
  });
});

Deno.test("a layer's packing is told by its media type", () => {
  assert.equal(layerCompression(MEDIA.dockerLayerGzip), "gzip");
  assert.equal(layerCompression(MEDIA.ociLayer), "uncompressed");
  assert.equal(layerCompression(`${MEDIA.ociLayerGzip}+encrypted`), "none");
});

Deno.test("many bytes are hashed in steps of 1 MiB, between which others have their turn", async () => {
  const steps = async (bytes: Uint8Array) => {
    let turns = 0;
    const digest = await sha256InSteps(bytes, () => {
      turns++;
      return Promise.resolve();
    });
    assert.equal(digest, sha256(bytes));
    return turns;
  };
  assert.equal(await steps(new Uint8Array(0)), 0);
  assert.equal(await steps(new Uint8Array(2 ** 20)), 0);
  assert.equal(await steps(new Uint8Array(2 ** 20 + 1).fill(7)), 1);
  assert.equal(await steps(new Uint8Array(21 * 2 ** 18).fill(9)), 5);
});
