import assert from "node:assert/strict";
import { descriptorJson, MEDIA } from "../../lib/formats/oci/mod.ts";
import { ORDER_MEDIA } from "../../lib/formats/order/mod.ts";
import {
  imageIndex,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";

const imageOf = (architecture: string) =>
  makeImage({
    layers: [
      layerBlob(new TarBuilder().file("who", architecture)),
      layerBlob(new TarBuilder().file("big", new Uint8Array(300_000).fill(7))),
    ],
    platform: { os: "linux", architecture },
  });

/** What of a registry names a manifest, by type. */
function besides(registry: TestRegistry, repository: string): string[] {
  const { manifests } = registry.store.repository(repository);
  return [...manifests.values()].flatMap(({ bytes, digest }) => {
    const { subject } = JSON.parse(new TextDecoder().decode(bytes));
    return subject === undefined ? [] : [`${digest} of ${subject.digest}`];
  }).toSorted();
}

Deno.test("copy takes an image of two platforms with v1 and v2 indexes, companions and load orders, sends nothing twice, and mounts within a registry", async (t) => {
  await using first = startRegistry();
  await using second = startRegistry();
  const set = imageIndex([imageOf("amd64"), imageOf("arm64")]);
  await pushImage(first.host, "app:1", set);
  const src = `${first.host}/app`;
  await buildIndex(
    ...["--all-platforms", "--min-layer-size", "0", `${src}:1`],
  );
  await buildIndex(
    ...["--all-platforms", "--min-layer-size", "0", "--to", "2", `${src}:1`],
  );
  // A load order and a signature beside one of the images.
  const [subject] = [...first.store.repository("app").manifests.values()]
    .filter(({ mediaType }) => mediaType === MEDIA.ociManifest);
  const beside = (artifactType: string, text: string) => {
    const blob = first.addBlob("app", new TextEncoder().encode(text));
    return first.addManifest("app", {
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      artifactType,
      config: descriptorJson(blob),
      layers: [descriptorJson(blob)],
      subject: {
        mediaType: MEDIA.ociManifest,
        digest: subject!.digest,
        size: subject!.bytes.length,
      },
    });
  };
  const order = beside(ORDER_MEDIA.artifact, "{}");
  const signature = beside("application/vnd.example.signature", "signed");
  const copy = async (...args: string[]) => {
    const { code, stdout, stderr } = await sociDeno("copy", "--json", ...args);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout);
  };

  for (const tag of ["1", "2"]) {
    await t.step(`all of tag ${tag} is there, and found`, async () => {
      const { missing } = await copy(`${src}:${tag}`, `${second.host}/app`);
      assert.deepEqual(missing, []);
      const inspected = async (name: string) => {
        const { code, stdout, stderr } = await sociDeno(
          ...["inspect", "--json", "--all-platforms", name],
        );
        assert.equal(code, 0, stderr);
        return JSON.parse(stdout).images;
      };
      const here = await inspected(`${src}:${tag}`);
      assert.equal(here.length, 2);
      for (const { index, companion } of here) {
        assert.ok(index !== null && companion !== null);
      }
      assert.deepEqual(await inspected(`${second.host}/app:${tag}`), here);
    });
  }

  await t.step(
    "whatever names the image at SRC does so at DST, but for what soci-deno does not know",
    async () => {
      const known = besides(first, "app")
        .filter((line) => !line.startsWith(signature.digest));
      assert.deepEqual(besides(second, "app"), known);
      assert.ok(known.some((line) => line.startsWith(order.digest)));
      await copy("--all-referrers", `${src}:1`, `${second.host}/app`);
      assert.deepEqual(besides(second, "app"), besides(first, "app"));
    },
  );

  await t.step("a second copy sends nothing", async () => {
    second.reset();
    const { sent } = await copy(`${src}:1`, `${second.host}/app:1`);
    assert.deepEqual(sent, { bytes: 0, blobs: 0 });
    const uploads = second.requests
      .filter(({ path }) => path.includes("/blobs/uploads/"));
    assert.deepEqual(uploads, []);
  });

  await t.step("within one registry blobs are mounted", async () => {
    first.reset();
    const { sent } = await copy(`${src}:2`, `${first.host}/prod/app:stable`);
    assert.deepEqual(sent, { bytes: 0, blobs: 0 });
    assert.equal(first.bytesServed(), 0);
    assert.ok(first.store.repository("prod/app").tags.has("stable"));
  });

  await t.step("other bytes than the digest says do not arrive", async () => {
    first.faults.add({ kind: "corrupt", on: "blobs" });
    const { code, stderr } = await sociDeno(
      ...["copy", `${src}:1`, `${second.host}/elsewhere`],
    );
    first.faults.clear();
    assert.equal(code, 1);
    assert.match(stderr, /^soci-deno copy: .*\n$/);
    assert.equal(second.store.repository("elsewhere").tags.size, 0);
  });

  await t.step("DST takes no digest", async () => {
    const { code, stderr } = await sociDeno(
      ...["copy", `${src}:1`, `${second.host}/app@${subject!.digest}`],
    );
    assert.equal(code, 2);
    assert.match(stderr, /DST takes a tag/);
  });
});
