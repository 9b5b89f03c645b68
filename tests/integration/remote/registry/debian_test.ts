import assert from "node:assert/strict";
import {
  type Descriptor,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import {
  parseReference,
  RegistryClient,
} from "../../../../lib/remote/registry/mod.ts";
import { fallbackTag } from "../../../../lib/remote/registry/referrers_tag.ts";
import { startDockerRegistry } from "../../../support/host/mod.ts";
import { noise, streamOf } from "../../../support/registry/mod.ts";
import { fails, QUICK } from "./helpers.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const described = (bytes: Uint8Array, mediaType: string): Descriptor => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
});

for (const htpasswd of [false, true]) {
  const how = htpasswd ? "with a login" : "for anybody";
  Deno.test(`docker-registry takes and gives an image ${how}`, async (t) => {
    await using registry = await startDockerRegistry(
      htpasswd ? { users: { anna: "secret" } } : {},
    );
    using client = new RegistryClient({
      retry: QUICK.retry,
      ...(htpasswd && { credentials: staticCredentials("anna", "secret") }),
    });
    const reference = parseReference(`${registry.host}/team/app:v1`);
    const layer = noise(3_000_000, 7);
    const layerItem = described(layer, MEDIA.ociLayerGzip);
    const config = encode({ architecture: "amd64", os: "linux" });
    const configItem = described(config, MEDIA.ociConfig);
    const manifest = encode({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: configItem,
      layers: [layerItem],
    });
    let image: Descriptor;

    await t.step("blobs are pushed whole and as a stream", async () => {
      await client.pushBlob(reference, configItem, config);
      const stream = () => streamOf(layer);
      assert.equal(await client.pushBlob(reference, layerItem, stream), true);
      assert.equal(await client.pushBlob(reference, layerItem, stream), false);
    });
    await t.step("the manifest is pushed, resolved and read", async () => {
      image = await client.pushManifest(
        reference,
        manifest,
        MEDIA.ociManifest,
        { tag: "v1" },
      );
      assert.deepEqual(await client.resolve(reference), image);
      const found = await client.manifest(reference, image);
      assert.deepEqual(found.descriptor, image);
    });
    await t.step("ranges and the whole layer come back", async () => {
      const into = new Uint8Array(1_000_000);
      const { digest } = layerItem;
      await client.range(reference, digest, 999_999, 1_999_999, into);
      assert.equal(sha256(into), sha256(layer.subarray(999_999, 1_999_999)));
      await fails(
        "range",
        client.range(
          reference,
          digest,
          2_999_999,
          3_000_009,
          into.subarray(10, 20),
        ),
      );
      const stream = await client.blob(reference, layerItem, { offset: 5 });
      const rest = await new Response(stream).bytes();
      assert.equal(sha256(rest), sha256(layer.subarray(5)));
    });
    await t.step("referrers are kept under the fallback tag", async () => {
      const pushed: string[] = [];
      for (const n of [1, 2]) {
        const bytes = encode({
          schemaVersion: 2,
          mediaType: MEDIA.ociManifest,
          config: { ...configItem, mediaType: "application/x-test" },
          layers: [],
          subject: image,
          annotations: { n: String(n) },
        });
        const { descriptor, subjectNoted } = await client.pushReferrer(
          reference,
          bytes,
          MEDIA.ociManifest,
          image,
        );
        assert.equal(subjectNoted, false);
        pushed.push(descriptor.digest);
      }
      const found = await client.referrers(
        reference,
        image.digest,
        "application/x-test",
      );
      assert.deepEqual(found.map(({ digest }) => digest), pushed);
      assert.deepEqual(
        await client.referrers(reference, image.digest, "x/y"),
        [],
      );
      const tag = fallbackTag(image.digest);
      const list = await client.manifest(reference, { tag });
      assert.equal(list.descriptor.mediaType, MEDIA.ociIndex);
    });
    await t.step("a blob is mounted from another repository", async () => {
      const other = parseReference(`${registry.host}/team/other`);
      const { digest } = layerItem;
      assert.equal(await client.mount(other, digest, "team/app"), true);
      assert.equal(await client.hasBlob(other, digest), true);
      const absent = sha256(new Uint8Array(9));
      assert.equal(await client.mount(other, absent, "team/app"), false);
    });
    await t.step("what is not there, and who may not", async () => {
      await fails(
        "not-found",
        client.manifest(reference, { tag: "nothing" }),
      );
      if (!htpasswd) return;
      using stranger = new RegistryClient(QUICK);
      await fails("unauthorized", stranger.resolve(reference));
    });
  });
}
