import assert from "node:assert/strict";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import {
  readFamily,
  readIndexedImage,
  resolveIndexedImage,
} from "../../../../lib/remote/image/mod.ts";
import {
  parseReference,
  RegistryClient,
  RegistryError,
} from "../../../../lib/remote/registry/mod.ts";
import {
  imageIndex,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../../../support/images/mod.ts";
import {
  referrersAnswered,
  startRegistry,
} from "../../../support/registry/mod.ts";

/** An image of two platforms, at a registry, and what is asked of it. */
async function withImage(
  use: (at: {
    client: RegistryClient;
    name: string;
    asked: () => string[];
    images: ReturnType<typeof makeImage>[];
  }) => Promise<void>,
): Promise<void> {
  await using registry = startRegistry();
  using client = new RegistryClient();
  const layers = [layerBlob(new TarBuilder().file("a", "a"))];
  const images = ["amd64", "arm64"].map((architecture) =>
    makeImage({ layers, platform: { os: "linux", architecture } })
  );
  await pushImage(registry.host, "app:1", imageIndex(images));
  registry.reset();
  await use({
    client,
    name: `${registry.host}/app:1`,
    images,
    asked: () =>
      registry.requests.map(({ method, path, query }) =>
        `${method} ${path.replace(/^.*\/app\//, "")}${query}`
      ),
  });
}

Deno.test("index, manifest and config of an image are each asked for once", () =>
  withImage(async ({ client, name, asked, images }) => {
    const source = new RegistryPlace(client, parseReference(name));
    const family = await readFamily(source);
    const image = await family.one({ os: "linux", architecture: "arm64" });
    await image.layers();
    await image.config();
    assert.deepEqual(asked(), [
      "GET manifests/1",
      `GET manifests/${images[1]!.digest}`,
      `GET blobs/${images[1]!.configDigest}`,
    ]);
  }));

Deno.test("an image with its index takes one request each, the daemon's two round trips", () =>
  withImage(async ({ client, name, asked, images }) => {
    const [image] = images;
    const reference = parseReference(name);
    const ways = { v1: true, v2: true };
    const found = await readIndexedImage(
      client,
      reference,
      image!.digest,
      ways,
    );
    assert.equal(found.index, null);
    assert.equal(found.layers.length, 1);
    const config = `GET blobs/${image!.configDigest}`;
    const manifest = `GET manifests/${image!.digest}`;
    assert.equal(asked().filter((line) => line === manifest).length, 1);
    assert.equal(asked().filter((line) => line === config).length, 1);
    assert.ok(asked().indexOf(manifest) < asked().indexOf(config));
    const before = asked().length;
    await resolveIndexedImage(
      client,
      reference,
      { os: "linux", architecture: "amd64" },
      ways,
    );
    const then = asked().slice(before);
    assert.equal(new Set(then).size, then.length);
  }));

Deno.test("an image whose referrers cannot be had is one without index", async () => {
  await using registry = startRegistry();
  const image = makeImage({
    layers: [layerBlob(new TarBuilder().file("a", "a"))],
  });
  await pushImage(registry.host, "app:1", image);
  const reference = parseReference(`${registry.host}/app:1`);
  const ways = { v1: true, v2: true };
  using client = new RegistryClient({
    retry: { retries: 1, minWaitMs: 1 },
    timeouts: { headersMs: 200, idleMs: 200 },
  });
  const never = Promise.withResolvers<Response>();
  for (
    const answer of [
      () => new Response(null, { status: 500 }),
      () => new Response("x".repeat(5 * 2 ** 20)),
      () => never.promise,
    ]
  ) {
    registry.intercept = referrersAnswered(answer);
    const found = await resolveIndexedImage(client, reference, undefined, ways);
    assert.equal(found.index, null);
    assert.equal(found.layers.length, 1);
    // The daemon tells containerd why, and containerd unpacks.
    await assert.rejects(
      readIndexedImage(client, reference, found.descriptor.digest, ways),
      RegistryError,
    );
  }
  never.resolve(new Response(null, { status: 503 }));
});
