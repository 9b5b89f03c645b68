import assert from "node:assert/strict";
import {
  decodeIndex,
  encodeIndex,
  hasNoXattrs,
  makeIndex,
  SOCI_ANNOTATION,
  SOCI_MEDIA,
  SociError,
  type SociErrorCode,
  spanSizeOf,
  xattrsAreDisabled,
  ztocDescriptor,
  ztocForLayer,
} from "../../../../lib/formats/soci/mod.ts";
import { type Digest, MEDIA, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { decodeZtoc } from "../../../../lib/formats/ztoc/mod.ts";
import { blob, INDEX_DIGEST, ZTOCS } from "../ztoc/fixture.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);
const digestOf = (value: string) => sha256(bytes(value));

function refuses(value: unknown, code: SociErrorCode): void {
  const encoded = value instanceof Uint8Array
    ? value
    : bytes(JSON.stringify(value));
  assert.throws(() => decodeIndex(encoded), (error) => {
    assert(error instanceof SociError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

const layer = { mediaType: MEDIA.ociLayerGzip, digest: digestOf("layer") };
const ztoc = ztocDescriptor({
  digest: digestOf("ztoc"),
  size: 100,
  layer,
  spanSizeBytes: 4194304,
  disableXattrs: true,
});

Deno.test("an index of the existing tools is read and written back to the same bytes", () => {
  const original = blob(INDEX_DIGEST);
  const index = decodeIndex(original);
  assert.equal(index.version, 1);
  assert.equal(sha256(encodeIndex(index)), INDEX_DIGEST);
  for (const { digest, layerDigest } of ZTOCS) {
    const found = ztocForLayer(index, layerDigest as Digest);
    assert.equal(found?.digest, digest);
    assert.equal(spanSizeOf(found!), null);
    assert.equal(xattrsAreDisabled(found!), false);
  }
  assert.equal(ztocForLayer(index, digestOf("other")), null);
});

Deno.test("made of the same facts, an index has the existing tools' digest", () => {
  const { layers, subject } = decodeIndex(blob(INDEX_DIGEST));
  const made = makeIndex({
    layers,
    subject: subject!,
    buildTool: "AWS SOCI CLI v0.1",
  });
  assert.equal(sha256(encodeIndex(made)), INDEX_DIGEST);
});

Deno.test("a new index v2 is the canonical JSON", () => {
  const index = makeIndex({ layers: [ztoc] });
  assert.equal(
    text(encodeIndex(index)),
    '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
      '"config":{"mediaType":"application/vnd.amazon.soci.index.v2+json",' +
      '"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},' +
      `"layers":[{"mediaType":"application/octet-stream","digest":"${ztoc.digest}","size":100,` +
      '"annotations":{"com.amazon.soci.disable-xattrs":"true",' +
      `"com.amazon.soci.image-layer-digest":"${layer.digest}",` +
      '"com.amazon.soci.image-layer-mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",' +
      '"com.amazon.soci.span-size":"4194304"}}],' +
      '"annotations":{"com.amazon.soci.build-tool-identifier":"AWS SOCI CLI v0.2"}}',
  );
  assert.deepEqual(decodeIndex(encodeIndex(index)), index);
  const found = ztocForLayer(index, layer.digest)!;
  assert.equal(spanSizeOf(found), 4194304);
  assert.equal(xattrsAreDisabled(found), true);
});

Deno.test("an index of no ztocs is not made", () => {
  assert.throws(
    () => makeIndex({ layers: [] }),
    (error) => error instanceof SociError && error.code === "empty",
  );
});

Deno.test("what is no usable index is refused", () => {
  const good = JSON.parse(text(encodeIndex(makeIndex({ layers: [ztoc] }))));
  refuses(new Uint8Array(5 * 2 ** 20), "invalid");
  refuses(bytes("{"), "not-an-index");
  refuses(
    blob(
      "sha256:4b2985df24f11530d66efb6ad7cd05b6acb664c6c368162c0c2ce22ba349df4d",
    ),
    "not-an-index",
  );
  refuses({ ...good, layers: undefined, manifests: [] }, "not-an-index");
  refuses({ ...good, subject: good.config }, "invalid");
  refuses({
    ...good,
    config: { ...good.config, mediaType: SOCI_MEDIA.indexV1 },
  }, "invalid");
  refuses({ ...good, layers: [{ ...ztoc, size: 2 ** 40 }] }, "invalid");
  refuses({ ...good, layers: [{ ...ztoc, annotations: {} }] }, "invalid");
  refuses({
    ...good,
    layers: [{
      ...ztoc,
      annotations: { [SOCI_ANNOTATION.layerDigest]: "sha256:00" },
    }],
  }, "invalid");
  const unknown = {
    ...ztoc,
    mediaType: "application/x-later",
    annotations: {},
  };
  assert.equal(
    decodeIndex(bytes(JSON.stringify({ ...good, layers: [ztoc, unknown] })))
      .layers.length,
    2,
  );
});

Deno.test("a layer with attributes or an opaque directory is not called free of them", () => {
  const base = decodeZtoc(blob(ZTOCS[2]!.digest));
  const entry = { ...base.entries[0]!, xattrs: [] };
  const withEntry = (change: Partial<typeof entry>) =>
    hasNoXattrs({ ...base, entries: [entry, { ...entry, ...change }] });
  assert.equal(withEntry({}), true);
  assert.equal(
    withEntry({ xattrs: [[bytes("mtime"), bytes("1.5")]] } as never),
    true,
  );
  assert.equal(
    withEntry(
      { xattrs: [[bytes("SCHILY.xattr.user.a"), bytes("b")]] } as never,
    ),
    false,
  );
  assert.equal(withEntry({ name: bytes("a/.wh..wh..opq") }), false);
  assert.equal(withEntry({ name: bytes("a/.wh.b") }), true);
});
