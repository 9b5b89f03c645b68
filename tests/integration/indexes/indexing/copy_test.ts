/** What is copied beside an image, whatever else names it and whatever the list says. */
import assert from "node:assert/strict";
import { descriptorJson, MEDIA } from "../../../../lib/formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../../../lib/formats/soci/mod.ts";
import { copyImage } from "../../../../lib/indexes/indexing/mod.ts";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import {
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";

/** A registry with an image and what names it, and another registry. */
async function openScene(signatures: number) {
  const from = startRegistry();
  const to = startRegistry();
  const image = makeImage({
    layers: [layerBlob(new TarBuilder().file("f", "text"))],
  });
  await pushImage(from.host, "app:1", image);
  const client = new RegistryClient({ retry: { retries: 0 } });
  const reference = parseReference(`${from.host}/app:1`);
  const place = new RegistryPlace(client, reference);
  const root = await place.image();
  const blob = from.addBlob("app", new TextEncoder().encode("{}"));
  const beside = (artifactType: string, text: string) =>
    from.addManifest("app", {
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      artifactType,
      config: descriptorJson(blob),
      layers: [],
      subject: descriptorJson(root),
      annotations: { text },
    });
  for (let number = 0; number < signatures; number++) {
    beside("application/vnd.example.signature", String(number));
  }
  const index = beside(SOCI_MEDIA.indexV1, "index");
  return {
    index,
    /** @param said what the list says of a type. */
    copy: (said: (type?: string) => string | undefined = (type) => type) =>
      copyImage(root, {
        source: place,
        sink: new RegistryPlace(client, parseReference(`${to.host}/app:1`)),
        referrers: async (digest) =>
          (await client.referrers(reference, digest))
            .map(({ artifactType, ...one }) => {
              const type = said(artifactType);
              return type === undefined ? one : { ...one, artifactType: type };
            }),
        resolve: async (digest) =>
          (await client.manifest(reference, { digest })).descriptor,
        beside: "known",
        concurrency: 1,
      }),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await from[Symbol.asyncDispose]();
      await to[Symbol.asyncDispose]();
    },
  };
}

Deno.test("an index that many signatures stand before is copied", async () => {
  await using scene = await openScene(300);
  const { beside } = await scene.copy();
  assert.deepEqual(beside.map(({ digest }) => digest), [scene.index.digest]);
});

Deno.test("an index is copied where the list does not say what it lists", async () => {
  for (const said of [undefined, MEDIA.ociManifest]) {
    await using scene = await openScene(3);
    const { beside } = await scene.copy(() => said);
    assert.deepEqual(
      beside.map(({ digest, artifactType }) => [
        ...[digest, artifactType],
      ]),
      [[scene.index.digest, SOCI_MEDIA.indexV1]],
    );
  }
});
