import assert from "node:assert/strict";
import {
  type Descriptor,
  type Digest,
  ManifestError,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  compressedDescriptor,
  decodeCompanion,
  encodeCompanion,
  makeIndex,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  SociError,
  ztocDescriptor,
} from "../../../../lib/formats/soci/mod.ts";

const IMAGE = `sha256:${"1".repeat(64)}` as Digest;
const subject = { mediaType: MEDIA.ociManifest, digest: IMAGE, size: 5 };
const ZTOC_BYTES = 100_000;
const digestOf = (text: string) => sha256(new TextEncoder().encode(text));

const ztocs = Array.from({ length: 40 }, (_, i) =>
  ztocDescriptor({
    digest: digestOf(`ztoc ${i}`),
    size: ZTOC_BYTES,
    layer: { mediaType: MEDIA.ociLayerGzip, digest: digestOf(`layer ${i}`) },
    spanSizeBytes: 4,
  }));
const index = makeIndex({ layers: ztocs, subject });
const of = { index, image: IMAGE };

const compressed = (ztoc: Digest, length: number) => {
  const bytes = new Uint8Array(length).fill(length);
  return compressedDescriptor(ztoc, {
    digest: sha256(bytes),
    size: length,
    bytes,
  });
};

/** A companion as somebody else may write it. */
const written = (change: Record<string, unknown>) =>
  new TextEncoder().encode(JSON.stringify({
    ...JSON.parse(
      new TextDecoder().decode(encodeCompanion({ ztocs: [], subject })),
    ),
    ...change,
  }));

Deno.test("a companion says which compressed ztoc is which, and holds small ones itself", () => {
  const [small, large] = [
    compressed(ztocs[0]!.digest, 4096),
    compressed(ztocs[1]!.digest, 4097),
  ];
  const bytes = encodeCompanion({
    ztocs: [small, large],
    subject,
    index: digestOf("index"),
  });
  const found = decodeCompanion(bytes, of);
  assert.deepEqual([...found], [
    [ztocs[0]!.digest, {
      digest: small.digest,
      size: 4096,
      bytes: new Uint8Array(4096),
    }],
    [ztocs[1]!.digest, { digest: large.digest, size: 4097, bytes: null }],
  ]);
});

Deno.test("what a companion holds itself is bounded, whoever wrote it", () => {
  const many = ztocs.map(({ digest }) => compressed(digest, 4096));
  const held = (bytes: Uint8Array) =>
    [...decodeCompanion(bytes, of).values()]
      .filter((one) => one.bytes !== null).length;
  assert.equal(held(encodeCompanion({ ztocs: many, subject })), 16);
  assert.equal(held(written({ layers: many })), 16);
});

Deno.test("a companion is read only as far as it can help", () => {
  const read = (layers: readonly unknown[]) =>
    decodeCompanion(written({ layers }), of);
  const ztoc = ztocs[0]!.digest;
  const good = compressed(ztoc, 5000);
  const other = compressed(ztoc, 6000);
  assert.equal(read([good, other]).get(ztoc)?.digest, good.digest);
  const odd: Readonly<Record<string, Descriptor>> = {
    "of a ztoc that the index does not name": compressed(digestOf("x"), 500),
    "as large as the ztoc": { ...good, size: ZTOC_BYTES },
    "of 2^53 - 1 bytes": { ...good, size: Number.MAX_SAFE_INTEGER },
    "of no bytes": { ...good, size: 0 },
    "of another type": { ...good, mediaType: MEDIA.octetStream },
    "of no ztoc": { ...good, annotations: {} },
  };
  for (const [what, one] of Object.entries(odd)) {
    assert.equal(read([one]).size, 0, what);
  }
  const lying = { ...compressed(ztoc, 500), size: 501 };
  assert.equal(read([lying]).get(ztoc)?.bytes, null);
});

Deno.test("a ztoc in two parts is told with its first part, and one that is told wrongly is passed over", () => {
  const ztoc = ztocs[0]!.digest;
  const head = { digest: digestOf("head"), size: 700 };
  const one = compressedDescriptor(ztoc, {
    ...{ digest: digestOf("both"), size: 5000, bytes: null, head },
  });
  const read = (entry: Descriptor) =>
    decodeCompanion(written({ layers: [entry] }), of).get(ztoc);
  assert.deepEqual(read(one), {
    ...{ digest: one.digest, size: 5000, bytes: null, head },
  });
  assert.equal(one.mediaType, SOCI_MEDIA.compressedParts);
  for (
    const said of [
      ...["", "700", `0 ${head.digest}`, `-1 ${head.digest}`],
      ...[`5000 ${head.digest}`, `1e2 ${head.digest}`, "700 sha256:0"],
      ...[`99999999999 ${head.digest}`, `700 ${head.digest} `],
      ...[`700  ${head.digest}`, `700 ${"a".repeat(5000)}`],
    ]
  ) {
    const annotations = {
      ...one.annotations,
      [SOCI_ANNOTATION.ztocHead]: said,
    };
    assert.equal(read({ ...one, annotations }), undefined, said);
  }
});

Deno.test("a companion of another image, of another kind or without end is none", () => {
  const foreign = { ...subject, digest: digestOf("another image") };
  assert.throws(
    () => decodeCompanion(encodeCompanion({ ztocs, subject: foreign }), of),
    SociError,
  );
  assert.throws(
    () => decodeCompanion(written({ artifactType: "x/y" }), of),
    SociError,
  );
  const one = compressed(ztocs[0]!.digest, 5000);
  for (
    const bytes of [
      written({ layers: new Array(1_000_000).fill(0) }),
      written({ layers: new Array(20_000).fill(one).map(() => one) }),
      written({ layers: [{ ...one, size: 1e300 }] }),
      new Uint8Array(5 * 2 ** 20),
      new Uint8Array(0),
    ]
  ) assert.throws(() => decodeCompanion(bytes, of), ManifestError);
  // One that an index v2 names has no subject.
  assert.equal(decodeCompanion(encodeCompanion({ ztocs: [one] }), of).size, 1);
});
