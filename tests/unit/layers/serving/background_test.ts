import assert from "node:assert/strict";
import {
  BackgroundFiller,
  type OpenLayer,
} from "../../../../lib/layers/serving/mod.ts";
import { pause } from "../../../support/host/mod.ts";

/** A layer that is filled when told so. */
function layerOf(host: string, filled: string[], until: Promise<void>) {
  const layer = {
    host,
    layerDigest: `${host}-${crypto.randomUUID()}`,
    isServed: true,
    fill: () => {
      filled.push(host);
      return until;
    },
  };
  return layer as unknown as OpenLayer;
}

const options = {
  enabled: true,
  delayMs: 0,
  maxQueue: -1,
  dropPolicy: "newest",
} as const;

Deno.test("layers of a registry that gives nothing keep those of others from nothing", async () => {
  using filler = new BackgroundFiller(options);
  const filled: string[] = [];
  for (let i = 0; i < 5; i++) {
    filler.add(layerOf("hung", filled, new Promise<void>(() => {})));
  }
  for (let i = 0; i < 3; i++) {
    filler.add(layerOf("well", filled, Promise.resolve()));
  }
  await pause(20);
  assert.deepEqual(filled, ["hung", "hung", "well", "well", "well"]);
});

for (const dropPolicy of ["newest", "oldest"] as const) {
  Deno.test(`when too many layers wait, the ${dropPolicy} one of the registry with most of them is left out`, async () => {
    using filler = new BackgroundFiller({
      ...options,
      maxQueue: 4,
      dropPolicy,
    });
    const filled: string[] = [];
    for (let i = 0; i < 20; i++) {
      filler.add(layerOf("hung", filled, new Promise<void>(() => {})));
    }
    const gate = Promise.withResolvers<void>();
    for (let i = 0; i < 4; i++) {
      filler.add(layerOf("well", filled, gate.promise));
    }
    await pause(20);
    gate.resolve();
    await pause(20);
    assert.equal(filled.filter((host) => host === "well").length, 4);
  });
}
