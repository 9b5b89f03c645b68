/** An index that a label names is bound by the rules of whose indexes are used. */
import assert from "node:assert/strict";
import {
  type DiscoveryOptions,
  IndexedImages,
} from "../../../../lib/images/lazy/images.ts";
import { putIndexV1 } from "../../../../lib/indexes/indexing/mod.ts";
import { buildZtocs } from "../../../../lib/indexes/indexing/mod.ts";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import { readFamily, ztocOf } from "../../../../lib/remote/image/mod.ts";
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

/** Pushes an image of these layers, with an index of version 1. */
async function indexed(host: string, texts: readonly string[]) {
  const client = new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } });
  const layers = texts.map((text) =>
    layerBlob(new TarBuilder().file("f", text))
  );
  await pushImage(host, "team/app:1", makeImage({ layers }));
  const reference = parseReference(`${host}/team/app:1`);
  const place = new RegistryPlace(client, reference);
  const image = await (await readFamily(place)).one(undefined);
  const { signal } = new AbortController();
  const built = await buildZtocs(image, {
    source: place,
    sink: place,
    spanSizeBytes: 100_000,
    minLayerSizeBytes: 0,
    ledgers: [],
    force: false,
    withCompanion: false,
    optimizeXattrs: false,
    prefetchFiles: [],
    concurrency: 1,
    signal,
  });
  const { descriptor: index } = await putIndexV1(place, built);
  return { client, reference, image, index };
}

Deno.test("layers below the least size have no ztoc, others keep theirs", async () => {
  await using registry = startRegistry();
  const noise = crypto.getRandomValues(new Uint8Array(30_000)).join(" ");
  const { client, reference, image, index } = await indexed(registry.host, [
    "text",
    noise,
  ]);
  const all = await image.layers();
  const ztocs = async (minLayerBytes: number) => {
    const found = await new IndexedImages(client, {
      v1: true,
      v2: true,
      minLayerBytes,
    }).byManifest(reference, image.descriptor.digest, index.digest);
    return all.map(({ descriptor }) =>
      ztocOf(found, descriptor.digest) !== null
    );
  };
  const [small, large] = all.map(({ descriptor }) => descriptor.size);
  assert.ok(small !== undefined && large !== undefined && small < large);
  assert.deepEqual(await ztocs(0), [true, true]);
  assert.deepEqual(await ztocs(small), [true, true]);
  assert.deepEqual(await ztocs(small + 1), [false, true]);
  assert.deepEqual(await ztocs(large + 1), [false, false]);
});

Deno.test("an index that a label names is used where indexes of that repository are, and nowhere else", async () => {
  await using registry = startRegistry();
  const { client, reference, image, index } = await indexed(registry.host, [
    "text",
  ]);
  const found = async (options: DiscoveryOptions) =>
    (await new IndexedImages(client, options).byManifest(
      reference,
      image.descriptor.digest,
      index.digest,
    )).index?.digest ?? null;
  const all = ["**"];
  const other = ["registry.example/**"];
  const own = [`${registry.host}/team/*`];
  const of = (v1: string[], v2: string[]) => ({ v1, v2 });
  for (
    const [options, used] of [
      [{ v1: false, v2: true }, true],
      [{ v1: false, v2: true, trust: of(own, other) }, true],
      [{ v1: false, v2: true, trust: of(other, all) }, false],
      [{ v1: true, v2: false, trust: of(other, all) }, false],
      [{ v1: false, v2: false, trust: of(all, all) }, false],
    ] as const
  ) {
    assert.equal(
      await found(options),
      used ? index.digest : null,
      JSON.stringify(options),
    );
  }
});
