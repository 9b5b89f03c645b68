import assert from "node:assert/strict";
import { heldLayers } from "../../../../lib/images/pulling/present.ts";

/** Snapshots of an image's layers, of which some from the bottom on are there, and what was asked. */
function chain(there: number) {
  const asked: number[] = [];
  const held: number[] = [];
  return {
    asked,
    held,
    has(position: number) {
      asked.push(position);
      return Promise.resolve(position < there);
    },
    hold(position: number) {
      held.push(position);
      return Promise.resolve();
    },
  };
}

Deno.test("as many layers are held as are there, for images of any depth", async () => {
  for (let layers = 0; layers <= 40; layers++) {
    for (let there = 0; there <= layers; there++) {
      const snapshots = chain(there);
      assert.equal(await heldLayers(layers, snapshots), there);
      assert.deepEqual(snapshots.held, there === 0 ? [] : [there - 1]);
    }
  }
});

Deno.test("of a deep image few snapshots are asked about", async () => {
  for (const [there, most] of [[0, 2], [128, 3], [1, 10], [77, 10]] as const) {
    const snapshots = chain(there);
    assert.equal(await heldLayers(128, snapshots), there);
    assert.ok(snapshots.asked.length <= most, `${there}: ${snapshots.asked}`);
  }
});

Deno.test("what goes away before it is held does not count", async () => {
  let there = 10;
  const held: number[] = [];
  const count = await heldLayers(12, {
    has: (position) => Promise.resolve(position < there),
    hold: (position) => {
      held.push(position);
      if (held.length === 1) there = 4;
      return Promise.resolve();
    },
  });
  assert.equal(count, 4);
  assert.deepEqual(held, [9, 3]);
});
