import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  encodeIndex,
  makeIndex,
  ztocDescriptor,
} from "../../../../lib/formats/soci/mod.ts";
import { IndexedImages } from "../../../../lib/images/lazy/images.ts";
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

Deno.test("that an image has no index is believed for a minute, then the registry is asked again", async () => {
  await using registry = startRegistry();
  using client = new RegistryClient();
  const layer = layerBlob(new TarBuilder().file("a", "a"));
  const image = makeImage({ layers: [layer] });
  await pushImage(registry.host, "app:1", image);
  const reference = parseReference(`${registry.host}/app:1`);
  const images = new IndexedImages(client, { v1: true, v2: true });
  const index = async () =>
    (await images.byManifest(reference, image.digest, null)).index;
  const { now } = Date;
  let later = 0;
  Date.now = () => now() + later;
  try {
    assert.equal(await index(), null);
    const pushed = registry.addManifest(
      "app",
      encodeIndex(makeIndex({
        layers: [ztocDescriptor({
          digest: sha256(new Uint8Array(9)),
          size: 9,
          layer: {
            mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
            digest: layer.digest,
          },
          spanSizeBytes: 4,
        })],
        subject: {
          mediaType: image.mediaType,
          digest: image.digest,
          size: image.manifest.length,
        },
      })),
    );
    assert.equal(await index(), null); // still believed
    later = 61_000;
    assert.equal((await index())?.digest, pushed.digest);
  } finally {
    Date.now = now;
  }
});
