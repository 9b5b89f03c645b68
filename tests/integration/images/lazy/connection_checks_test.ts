/** `blob.valid_interval` and `check_always`: how often a registry is asked whether it still gives a layer. */
import assert from "node:assert/strict";
import { ConnectionChecks } from "../../../../lib/images/lazy/mod.ts";
import type { LayerStore } from "../../../../lib/layers/serving/mod.ts";
import { RegistryClient } from "../../../../lib/remote/registry/mod.ts";
import { noise, startRegistry } from "../../../support/registry/mod.ts";

Deno.test("a layer is checked once in valid_interval, at the first use only with check_always, and never once it is whole", async () => {
  await using registry = startRegistry();
  const { digest } = registry.addBlob("team/app", noise(1000));
  using client = new RegistryClient();
  const layer = { layerDigest: digest, reader: { complete: false } };
  const store = {
    all: () => [layer] as unknown as ReturnType<LayerStore["all"]>,
  };
  const used = [{
    imageRef: `${registry.host}/team/app:1`,
    layerDigest: digest,
  }];
  const asked = async (intervalMs: number, uses: number) => {
    using checks = new ConnectionChecks(client, store, () => intervalMs);
    registry.requests.length = 0;
    for (let at = 0; at < uses; at++) checks.used(used);
    const wanted = intervalMs === 0 ? uses : 0;
    for (let tries = 0; registry.requests.length < wanted; tries++) {
      assert.ok(tries < 400, "it is not asked");
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return registry.requests.length;
  };
  assert.equal(await asked(3_600_000, 3), 0, "it was opened a moment ago");
  assert.equal(await asked(0, 3), 3);
  layer.reader.complete = true;
  assert.equal(await asked(3_600_000, 1), 0);

  // When the interval is over it is asked again, once.
  layer.reader.complete = false;
  using checks = new ConnectionChecks(client, store, () => 20);
  registry.requests.length = 0;
  checks.used(used);
  await new Promise((resolve) => setTimeout(resolve, 60));
  checks.used(used);
  for (let tries = 0; registry.requests.length === 0; tries++) {
    assert.ok(tries < 400, "it is not asked");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.equal(registry.requests.length, 1);
});
