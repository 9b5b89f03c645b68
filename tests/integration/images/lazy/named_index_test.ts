/** An index that a label names is bound by the rules of whose indexes are used. */
import assert from "node:assert/strict";
import {
  type DiscoveryOptions,
  IndexedImages,
} from "../../../../lib/images/lazy/images.ts";
import { putIndexV1 } from "../../../../lib/indexes/indexing/mod.ts";
import { buildZtocs } from "../../../../lib/indexes/indexing/mod.ts";
import { RegistryPlace } from "../../../../lib/remote/content/mod.ts";
import { readFamily } from "../../../../lib/remote/image/mod.ts";
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

Deno.test("an index that a label names is used where indexes of that repository are, and nowhere else", async () => {
  await using registry = startRegistry();
  const client = new RegistryClient({ retry: { retries: 1, minWaitMs: 1 } });
  const layers = [layerBlob(new TarBuilder().file("f", "text"))];
  await pushImage(registry.host, "team/app:1", makeImage({ layers }));
  const reference = parseReference(`${registry.host}/team/app:1`);
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
