import assert from "node:assert/strict";
import {
  MEDIA,
  parseManifest,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import { headRefused, manifestsAs } from "../../../support/registry/mod.ts";
import { fails, scene } from "./helpers.ts";

const config = { mediaType: "x/y", digest: sha256(new Uint8Array()), size: 0 };
const IMAGE = { schemaVersion: 2, config, layers: [] };
const INDEX = { schemaVersion: 2, manifests: [] };

for (
  const contentType of [
    "text/plain; charset=utf-8",
    "application/json",
    "application/octet-stream",
    `${MEDIA.ociIndex.toUpperCase()}; charset=UTF-8`,
    null,
  ]
) {
  scene(
    `a manifest that comes as ${contentType} is what it says it is`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      registry.intercept = manifestsAs(registry, contentType);
      for (
        const [document, mediaType] of [
          [IMAGE, MEDIA.ociManifest],
          [{ ...IMAGE, mediaType: MEDIA.dockerManifest }, MEDIA.dockerManifest],
          [INDEX, MEDIA.ociIndex],
          [{ ...INDEX, mediaType: MEDIA.dockerIndex }, MEDIA.dockerIndex],
        ] as const
      ) {
        const { digest, size } = registry.addManifest("team/app", document, {
          tag: "v1",
        });
        const expected = { mediaType, digest, size };
        const { descriptor } = await client.manifest(reference);
        assert.deepEqual(descriptor, expected);
        if (contentType !== `${MEDIA.ociIndex.toUpperCase()}; charset=UTF-8`) {
          assert.deepEqual(await client.resolve(reference), expected);
        }
      }
    },
  );
}

const HEAD_REFUSED = [204, 400, 401, 402, 403, 404, 405, 406, 407, 409]
  .concat([410, 412, 415, 418, 422, 429, 500, 501, 502, 503, 504, 520]);

for (const status of HEAD_REFUSED) {
  scene(
    `HEAD of a manifest refused by ${status} leads to GET`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      const pushed = registry.addManifest("team/app", IMAGE, { tag: "v1" });
      registry.intercept = headRefused(status);
      assert.deepEqual(await client.resolve(reference), pushed);
    },
  );
}

for (const status of HEAD_REFUSED.filter((status) => status !== 404)) {
  scene(`HEAD of a blob refused by ${status} is no error`, {}, async (s) => {
    const { registry, client, reference, blob } = s;
    registry.intercept = headRefused(status);
    assert.equal(await client.hasBlob(reference, blob.digest), true);
    const bytes = new Uint8Array(5);
    const absent = { digest: sha256(bytes), size: 5 };
    assert.equal(await client.hasBlob(reference, absent.digest), false);
    assert.equal(await client.pushBlob(reference, absent, bytes), true);
    assert.equal(await client.hasBlob(reference, absent.digest), true);
  });
}

scene(
  "where nothing tells whether a blob is there, it is uploaded",
  {},
  async (s) => {
    const { registry, client, reference } = s;
    registry.intercept = (path, { method }) =>
      method === "HEAD" || (method === "GET" && path.includes("/blobs/"))
        ? new Response(null, { status: 403 })
        : null;
    const bytes = new Uint8Array(5);
    const blob = { digest: sha256(bytes), size: 5 };
    assert.equal(await client.pushBlob(reference, blob, bytes), true);
  },
);

for (
  const [form, contentType, mediaType] of [
    ["signed", MEDIA.dockerSchema1Signed, undefined],
    ["unsigned", MEDIA.dockerSchema1, undefined],
    ["said by the document alone", "text/plain", MEDIA.dockerSchema1],
  ] as const
) {
  scene(
    `an image of Docker's old format, ${form}, is named as such`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      registry.addManifest("team/app", {
        schemaVersion: 1,
        mediaType,
        name: "team/app",
        tag: "v1",
        fsLayers: [],
        history: [],
        signatures: [],
      }, { mediaType: contentType, tag: "v1" });
      // Its digest is of the document without signatures.
      registry.intercept = (path, { method }) => {
        if (method !== "GET") return null;
        const found = registry.store.manifest("team/app", "v1");
        return path.endsWith("/manifests/v1")
          ? new Response(found!.bytes, {
            headers: {
              "content-type": contentType,
              "docker-content-digest": sha256(new Uint8Array(1)),
            },
          })
          : null;
      };
      for (
        const ask of [client.manifest(reference), client.resolve(reference)]
      ) {
        const error = await fails("unsupported", ask);
        assert.match(error.message, /schema 1.*push the image again/);
      }
    },
  );
}

for (
  const [form, headers] of [
    ["a length of 0", { "content-length": "0" }],
    ["no length", {}],
    ["the length of a compressed form", {
      "content-length": "7",
      "content-encoding": "gzip",
    }],
    ["another digest", {
      "content-length": "7",
      "docker-content-digest": sha256(new Uint8Array(1)),
    }],
  ] as const
) {
  scene(`a manifest is asked for where HEAD gives ${form}`, {}, async (s) => {
    const { registry, client, reference } = s;
    const pushed = registry.addManifest("team/app", IMAGE, { tag: "v1" });
    registry.intercept = (_, { method }) =>
      method === "HEAD"
        ? new Response(null, {
          headers: { "content-type": MEDIA.ociManifest, ...headers },
        })
        : null;
    const byDigest = reference.withDigest(pushed.digest);
    assert.deepEqual(await client.resolve(byDigest), pushed);
  });
}

scene(
  "a manifest of a known digest is believed beside a header of another",
  {},
  async (s) => {
    const { registry, client, reference } = s;
    const { digest } = registry.addManifest("team/app", IMAGE, { tag: "v1" });
    registry.intercept = () =>
      Response.json(IMAGE, {
        headers: { "docker-content-digest": sha256(new Uint8Array(1)) },
      });
    const { descriptor } = await client.manifest(reference, { digest });
    assert.equal(descriptor.digest, digest);
    await fails("integrity", client.manifest(reference));
  },
);

for (const encoding of ["gzip", "x-gzip", "deflate"]) {
  scene(
    `a manifest compressed on its way (${encoding}) is read`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      const pushed = registry.addManifest("team/app", IMAGE, { tag: "v1" });
      const packed = await new Response(
        new Blob([JSON.stringify(IMAGE)]).stream().pipeThrough(
          new CompressionStream(encoding === "deflate" ? "deflate" : "gzip"),
        ),
      ).bytes();
      registry.intercept = () =>
        new Response(packed, { headers: { "content-encoding": encoding } });
      const { bytes, descriptor } = await client.manifest(reference);
      assert.deepEqual(descriptor, pushed);
      assert.equal(sha256(bytes), pushed.digest);
    },
  );
}

scene("a document that unpacks to too much is refused", {}, async (s) => {
  const { registry, client, reference } = s;
  const packed = await new Response(
    new Blob([new Uint8Array(50_000_000)]).stream()
      .pipeThrough(new CompressionStream("gzip")),
  ).bytes();
  registry.intercept = () =>
    new Response(packed, { headers: { "content-encoding": "gzip" } });
  await fails("too-large", client.manifest(reference));
});

for (const own of ["application/json", "text/plain", "", null]) {
  scene(
    `a manifest whose own type is ${own} is what its shape says`,
    {},
    async (s) => {
      const { registry, client, reference } = s;
      const image = {
        ...IMAGE,
        mediaType: own,
        annotations: null,
        subject: null,
      };
      registry.addManifest("team/app", image, {
        mediaType: "text/plain",
        tag: "v1",
      });
      const { bytes, descriptor } = await client.manifest(reference);
      assert.equal(descriptor.mediaType, MEDIA.ociManifest);
      assert.deepEqual(parseManifest(bytes).layers, []);
    },
  );
}

scene(
  "a manifest is asked for where HEAD alone wants a login",
  {},
  async (s) => {
    const { registry, client, reference, blob } = s;
    const pushed = registry.addManifest("team/app", IMAGE, { tag: "v1" });
    registry.intercept = (_, { method }) =>
      method === "HEAD"
        ? new Response(null, {
          status: 401,
          headers: { "www-authenticate": 'Basic realm="head"' },
        })
        : null;
    assert.deepEqual(await client.resolve(reference), pushed);
    assert.equal(await client.hasBlob(reference, blob.digest), true);
  },
);
