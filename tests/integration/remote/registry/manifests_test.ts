import assert from "node:assert/strict";
import { MEDIA, sha256 } from "../../../../lib/formats/oci/mod.ts";
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

for (const status of [400, 401, 403, 404, 405, 406, 410, 415, 501]) {
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

for (const status of [400, 401, 403, 405, 406, 410, 415, 501]) {
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
