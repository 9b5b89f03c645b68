import assert from "node:assert/strict";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../../../lib/formats/oci/mod.ts";
import { parseReference } from "../../../../lib/remote/registry/mod.ts";
import { fallbackTag } from "../../../../lib/remote/registry/referrers_tag.ts";
import { noise, streamOf } from "../../../support/registry/mod.ts";
import { fails, scene } from "./helpers.ts";
import { staticCredentials } from "../../../support/registry/static_credentials.ts";

const encode = (value: unknown) =>
  new TextEncoder().encode(JSON.stringify(value));
const described = (bytes: Uint8Array) => ({
  digest: sha256(bytes),
  size: bytes.length,
});
const TYPE = "application/vnd.test.index.v1+json";
const config = { mediaType: "x/config", ...described(encode({})) };

function artifact(subject: Descriptor, artifactType: string, note: string) {
  return encode({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    artifactType,
    config,
    layers: [],
    subject,
    annotations: { note },
  });
}

scene("a blob is sent once", {}, async ({ client, reference, registry }) => {
  const bytes = noise(1000, 2);
  assert.equal(
    await client.pushBlob(reference, described(bytes), bytes),
    true,
  );
  assert.equal(
    await client.pushBlob(reference, described(bytes), bytes),
    false,
  );
  const read = await client.blobBytes(reference, described(bytes), {
    maxBytes: 1000,
  });
  assert.equal(sha256(read), sha256(bytes));
  assert.equal(
    registry.requests.filter(({ method }) => method === "PUT").length,
    1,
  );
});

scene(
  "a streamed blob is sent again when the registry fails",
  {},
  async (s) => {
    const { client, reference, registry } = s;
    const bytes = noise(500_000, 3);
    let opened = 0;
    registry.faults.add({
      kind: "status",
      status: 503,
      times: 1,
      on: "uploads",
    });
    await client.pushBlob(reference, described(bytes), () => {
      opened++;
      // The second request of the next try fails while the body is under way.
      if (opened === 1) {
        registry.faults.add({
          kind: "status",
          status: 502,
          times: 1,
          on: "uploads",
        });
      }
      return streamOf(bytes);
    });
    assert.ok(await client.hasBlob(reference, sha256(bytes)));
    assert.equal(opened, 2);
  },
);

scene("bytes that are not the digest's are refused", {}, async (s) => {
  const { client, reference } = s;
  const wrong = { ...described(noise(10, 4)), size: 10 };
  await fails("protocol", client.pushBlob(reference, wrong, noise(10, 5)));
  await fails("integrity", client.pushBlob(reference, wrong, noise(11, 5)));
});

scene("a blob is taken over from another repository", {}, async (s) => {
  const { client, registry, blob } = s;
  const other = parseReference(`${registry.host}/team/other`);
  assert.equal(await client.mount(other, blob.digest, "team/app"), true);
  assert.ok(await client.hasBlob(other, blob.digest));
  const absent = sha256(new Uint8Array(7));
  assert.equal(await client.mount(other, absent, "team/app"), false);
  assert.equal(registry.store.uploads.size, 0);
});

scene("a manifest is pushed by tag and found by digest, with a login", {
  registry: {
    auth: { kind: "bearer", username: "a", password: "b" },
  },
  client: { credentials: staticCredentials("a", "b") },
}, async ({ client, reference }) => {
  const bytes = encode({ schemaVersion: 2, config, layers: [] });
  const pushed = await client.pushManifest(
    reference,
    bytes,
    MEDIA.ociManifest,
    { tag: "v1" },
  );
  assert.deepEqual(await client.resolve(reference), pushed);
});

for (const referrersApi of [true, false]) {
  scene(
    `referrers are found ${referrersApi ? "by the API" : "by the tag"}`,
    { registry: { referrersApi, referrersPageSize: 2 } },
    async ({ client, reference, registry }) => {
      const subject = registry.addManifest("team/app", {
        schemaVersion: 2,
        config,
        layers: [],
      });
      assert.deepEqual(await client.referrers(reference, subject.digest), []);
      const pushed: Digest[] = [];
      for (const note of ["1", "2", "3"]) {
        const bytes = artifact(subject, TYPE, note);
        const { descriptor, subjectNoted } = await client.pushReferrer(
          reference,
          bytes,
          MEDIA.ociManifest,
          subject,
        );
        assert.equal(subjectNoted, referrersApi);
        pushed.push(descriptor.digest);
      }
      const other = artifact(subject, "x/other", "4");
      await client.pushReferrer(reference, other, MEDIA.ociManifest, subject);

      const found = await client.referrers(reference, subject.digest, TYPE);
      assert.deepEqual(found.map(({ digest }) => digest), pushed);
      assert.deepEqual(found[0]!.annotations, { note: "1" });
      const all = await client.referrers(reference, subject.digest);
      assert.equal(all.length, 4);
      const { tags } = registry.store.repository("team/app");
      assert.equal(tags.has(fallbackTag(subject.digest)), !referrersApi);
    },
  );
}

scene("the fallback tag keeps what it does not know", {
  registry: { referrersApi: false },
}, async ({ client, reference, registry }) => {
  const subject = registry.addManifest("team/app", { schemaVersion: 2 });
  const foreign = { ...config, artifactType: "x/y", novelty: [1] };
  registry.addManifest("team/app", {
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: [foreign],
    annotations: { a: "b" },
  }, { mediaType: MEDIA.ociIndex, tag: fallbackTag(subject.digest) });
  const bytes = artifact(subject, TYPE, "1");
  await client.pushReferrer(reference, bytes, MEDIA.ociManifest, subject);
  await client.pushReferrer(reference, bytes, MEDIA.ociManifest, subject);
  const stored = registry.store.manifest(
    "team/app",
    fallbackTag(subject.digest),
  );
  const index = JSON.parse(new TextDecoder().decode(stored!.bytes));
  assert.deepEqual(index.manifests[0], foreign);
  assert.deepEqual(index.annotations, { a: "b" });
  assert.equal(index.manifests.length, 2);
});
