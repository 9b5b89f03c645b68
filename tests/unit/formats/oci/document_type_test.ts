import assert from "node:assert/strict";
import {
  documentMediaType,
  MEDIA,
  parseManifest,
  readIndexEntries,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const image = { schemaVersion: 2, config: {}, layers: [] };
const index = { schemaVersion: 2, manifests: [] };

for (
  const [what, document, said, type] of [
    ["its own word", { ...image, mediaType: "x/y" }, "a/b", "x/y"],
    [
      "its own word in capitals",
      { ...index, mediaType: "X/Y; a=b" },
      null,
      "x/y",
    ],
    ["the shape of an image", image, "text/plain", MEDIA.ociManifest],
    ["the shape of an index", index, "application/json", MEDIA.ociIndex],
    [
      "the shape, against what was said",
      index,
      MEDIA.ociManifest,
      MEDIA.ociIndex,
    ],
    [
      "what was said, where it fits",
      image,
      MEDIA.dockerManifest,
      MEDIA.dockerManifest,
    ],
    [
      "what was said, where it fits an index",
      index,
      MEDIA.dockerIndex,
      MEDIA.dockerIndex,
    ],
    ["what was said, for neither", { a: 1 }, "a/b; c=d", "a/b"],
    [
      "what was said, for both",
      { ...image, ...index },
      MEDIA.ociIndex,
      MEDIA.ociIndex,
    ],
    [
      "what was said, for an own word that is none",
      { ...image, mediaType: 5 },
      "a/b",
      MEDIA.ociManifest,
    ],
    ["what was said, for a list", [image], "a/b", "a/b"],
    [
      "Docker's old format",
      { schemaVersion: 1 },
      MEDIA.ociManifest,
      MEDIA.dockerSchema1,
    ],
    [
      "Docker's old format by name",
      { mediaType: MEDIA.dockerSchema1Signed },
      null,
      MEDIA.dockerSchema1,
    ],
  ] as const
) {
  Deno.test(`a document's type is ${what}`, () => {
    assert.equal(documentMediaType(encode(document), said), type);
  });
}

Deno.test("a document that is no JSON has the type that was said", () => {
  assert.equal(documentMediaType(new Uint8Array([255]), "A/B"), "a/b");
  assert.equal(documentMediaType(new Uint8Array(), null), "");
});

Deno.test("an image of Docker's old format is named as such, with what to do", () => {
  assert.throws(
    () => parseManifest(encode({ schemaVersion: 1, fsLayers: [] })),
    /schema 1.*push it again/,
  );
});

Deno.test("usable entries are read beside odd ones, and those are counted", () => {
  const good = {
    mediaType: "x/y",
    digest: sha256(new Uint8Array()),
    size: 0,
  };
  const odd = [null, 5, {}, { ...good, digest: `sha512:${"a".repeat(128)}` }];
  const read = readIndexEntries(
    encode({ schemaVersion: 2, manifests: [...odd, good, ...odd] }),
  );
  assert.deepEqual(read, { entries: [good], passedOver: 8 });
});

Deno.test("what is no index has no entries", () => {
  for (
    const document of [
      image,
      { ...image, ...index },
      [],
      "x",
      null,
      { referrers: [] },
      { schemaVersion: 2, manifests: {} },
    ]
  ) {
    assert.equal(readIndexEntries(encode(document)), null);
  }
  assert.equal(readIndexEntries(new Uint8Array([1])), null);
  assert.deepEqual(
    readIndexEntries(encode({ schemaVersion: 2, manifests: null })),
    { entries: [], passedOver: 0 },
  );
});
