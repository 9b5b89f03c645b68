/** What the background of lazy layers waits for. */
import assert from "node:assert/strict";
import { incompressible, TarBuilder } from "../../../support/images/mod.ts";
import { indexed, MemorySource } from "../../../unit/layers/spans/support.ts";
import { openStore, ztocOf } from "../spans/support.ts";

const MIB = 2 ** 20;

Deno.test("while layers are fetched whole nothing comes in the background, but what is read does", async () => {
  const file = incompressible(4 * MIB, 1);
  const layer = indexed(new TarBuilder().file("file", file), 256 * 1024);
  await using opened = await openStore();
  const { store } = opened;
  const source = new MemorySource(layer.blob);
  const served = await store.add(layer.digest, ztocOf(layer), source, null);
  await served.shown;
  const { signal } = new AbortController();
  const first = store.whole.begin();
  const second = store.whole.begin();
  const filled = served.fill();
  filled.catch(() => {}); // awaited below
  await served.ensure(2 * MIB, 1000, signal);
  first[Symbol.dispose]();
  await served.ensure(3 * MIB, 1000, signal);
  const { backgroundBytes, demandBytes } = store.fetched;
  assert.ok(demandBytes > 0);
  assert.equal(backgroundBytes, 0);
  assert.ok(served.map.presentCount < served.spans.count);
  second[Symbol.dispose]();
  await filled;
  assert.equal(served.map.presentCount, served.spans.count);
  assert.ok(store.fetched.backgroundBytes > 0);
});

Deno.test("a layer whose registry never ends gives the background its turn all the same, again and again", async () => {
  const file = incompressible(4 * MIB, 2);
  const layer = indexed(new TarBuilder().file("file", file), 256 * 1024);
  await using opened = await openStore({ longestHoldMs: 30 });
  const { store } = opened;
  using _endless = store.whole.begin();
  for (let rounds = 0; rounds < 2; rounds++) {
    const source = new MemorySource(layer.blob);
    const served = await store.add(layer.digest, ztocOf(layer), source, null);
    await served.shown;
    await served.fill();
    assert.equal(served.map.presentCount, served.spans.count);
    store.release(served.slot, { discard: true });
  }
  assert.ok(store.fetched.backgroundBytes > 0);
});
