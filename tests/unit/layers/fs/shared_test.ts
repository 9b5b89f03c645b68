import fc from "fast-check";
import assert from "node:assert/strict";
import { RingItem } from "../../../../lib/layers/fs/shared/mod.ts";
import {
  RequestRing,
  SlotTable,
  SpanStarts,
} from "../../../../lib/layers/fs/shared/mod.ts";
import { PresenceArena } from "../../../../lib/layers/fs/shared/presence.ts";
import { MISSING, PRESENT } from "../../../../lib/layers/presence/mod.ts";

Deno.test("a slot is found with its place in the arena while it is served", () => {
  const table = new SlotTable(SlotTable.allocate(8));
  const other = new SlotTable(table.memory); // as a Worker sees it
  assert.equal(other.find(5), -1);
  table.add(5, 1000, 20);
  table.add(4_000_000_000, 3_000_000_000, 1);
  const row = other.find(5);
  assert.equal(other.arenaOffset(row), 1000);
  assert.equal(other.spanCount(row), 20);
  const large = other.find(4_000_000_000);
  assert.equal(other.arenaOffset(large), 3_000_000_000);
  assert.deepEqual(other.slots(), [5, 4_000_000_000]);
  table.remove(5);
  assert.equal(other.holds(row, 5), false);
  assert.equal(other.find(5), -1);
  assert.ok(other.holds(large, 4_000_000_000));
  table.remove(5); // again: nothing happens
});

Deno.test("a row tells when it was given up in between, even to the same slot", () => {
  const table = new SlotTable(SlotTable.allocate(8));
  table.add(5, 0, 1);
  const row = table.find(5);
  const before = table.generation(row);
  table.remove(5);
  table.add(5, 64, 1);
  assert.equal(table.find(5), row);
  assert.notEqual(table.generation(row), before);
});

Deno.test("any order of serving and removing slots is as in a plain map", () => {
  const step = fc.record({
    slot: fc.integer({ min: 1, max: 40 }),
    add: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const table = new SlotTable(SlotTable.allocate(40));
    const model = new Map<number, number>();
    for (const [at, { slot, add }] of steps.entries()) {
      if (add && !model.has(slot)) {
        table.add(slot, at, 1);
        model.set(slot, at);
      } else if (!add) {
        table.remove(slot);
        model.delete(slot);
      }
    }
    assert.deepEqual(table.slots(), [...model.keys()].sort((a, b) => a - b));
    for (let slot = 1; slot <= 40; slot++) {
      const row = table.find(slot);
      assert.equal(row >= 0, model.has(slot));
      if (row >= 0) assert.equal(table.arenaOffset(row), model.get(slot));
    }
  }));
});

Deno.test("a full slot table says so and still finds all it holds", () => {
  const table = new SlotTable(SlotTable.allocate(4));
  for (let slot = 1; slot <= 8; slot++) table.add(slot, slot, 1);
  assert.throws(() => table.add(9, 9, 1), RangeError);
  assert.equal(table.find(9), -1);
  for (let slot = 1; slot <= 8; slot++) assert.ok(table.find(slot) >= 0);
});

Deno.test("the arena hands out cleared runs that never overlap, and takes them back", () => {
  const step = fc.record({
    length: fc.integer({ min: 1, max: 60 }),
    release: fc.nat(),
    allocate: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const arena = new PresenceArena(new SharedArrayBuffer(256), {
      quarantineMs: 0,
    });
    const held: { start: number; length: number }[] = [];
    for (const { length, release, allocate } of steps) {
      if (!allocate && held.length > 0) {
        const [run] = held.splice(release % held.length, 1);
        arena.release(run!.start, run!.length);
        continue;
      }
      let start: number;
      try {
        start = arena.allocate(length);
      } catch (error) {
        assert.ok(error instanceof RangeError);
        continue;
      }
      const bytes = arena.bytes.subarray(start, start + length);
      assert.ok(bytes.every((byte) => byte === MISSING));
      for (const run of held) {
        assert.ok(
          start + length <= run.start || run.start + run.length <= start,
        );
      }
      bytes.fill(PRESENT);
      held.push({ start, length });
    }
    for (const { start, length } of held) arena.release(start, length);
    assert.equal(arena.allocate(256), 0); // all of it is one run again
  }));
});

Deno.test("a layer without spans takes no room in the arena", () => {
  const arena = new PresenceArena(new SharedArrayBuffer(16), {
    quarantineMs: 0,
  });
  const start = arena.allocate(0);
  arena.release(start, 0);
  assert.equal(arena.allocate(16), 0);
});

function numbered(number: number): RingItem {
  return Object.assign(new RingItem(), {
    kind: number % 2,
    mount: number % 3,
    uniqueLo: 0xffff_ffff - number,
    uniqueHi: number,
    slot: 4_000_000_000 + number,
    offset: 2 ** 52 + number,
    length: number,
  });
}

Deno.test("spans are found by any offset of theirs, beside those of other layers", () => {
  const starts = new SpanStarts(SpanStarts.allocate(16));
  starts.write(0, Float64Array.of(0, 2 ** 40));
  starts.write(2, Float64Array.of(0, 10, 11, 500, 1000));
  starts.write(7, Float64Array.of(0, 3, 4));
  const at = [0, 9, 10, 11, 499, 500, 999].map((offset) =>
    starts.spanAt(2, 4, offset)
  );
  assert.deepEqual(at, [0, 0, 1, 2, 2, 3, 3]);
  assert.equal(starts.dataBytes(2, 4), 1000);
  assert.equal(starts.spanAt(0, 1, 2 ** 39), 0);
  assert.equal(starts.dataBytes(0, 1), 2 ** 40);
});

Deno.test("the ring gives every item back as it was pushed, in order", () => {
  const ring = new RequestRing(RequestRing.allocate(4));
  const taken = new RingItem();
  assert.equal(ring.take(taken), false);
  for (let round = 0; round < 10; round++) {
    const rung = ring.doorbell();
    for (let i = 0; i < 4; i++) ring.push(numbered(round * 4 + i));
    assert.notEqual(ring.doorbell(), rung);
    for (let i = 0; i < 4; i++) {
      assert.ok(ring.take(taken));
      assert.deepEqual(taken, numbered(round * 4 + i));
    }
    assert.equal(ring.take(taken), false);
  }
});

Deno.test("the ring goes on when its counters wrap", () => {
  for (const counter of [2 ** 31 - 6, -6]) { // signed overflow, and through zero
    const memory = RequestRing.allocate(4);
    new Int32Array(memory).fill(counter, 0, 2);
    const ring = new RequestRing(memory);
    const taken = new RingItem();
    for (let i = 0; i < 12; i++) {
      ring.push(numbered(i));
      assert.ok(ring.take(taken));
      assert.deepEqual(taken, numbered(i));
    }
  }
});

Deno.test("whoever waits for the ring is woken by a push, and by a wake without one", async () => {
  const ring = new RequestRing(RequestRing.allocate(4));
  // Atomics.waitAsync by itself does not keep the event loop alive.
  const alive = setInterval(() => {}, 1000);
  for (const ring_it of [() => ring.push(numbered(1)), () => ring.wake()]) {
    const waiting = ring.changed(ring.doorbell());
    ring_it();
    await waiting;
  }
  const seen = ring.doorbell();
  ring.wake();
  await ring.changed(seen); // it rang before the wait began
  clearInterval(alive);
});

Deno.test("two Workers push through a ring that is full most of the time, nothing is lost", async () => {
  const ring = new RequestRing(RequestRing.allocate(8));
  const count = 20_000;
  const workers = [0, 1].map((mount) => {
    const worker = new Worker(new URL("./ring_worker.ts", import.meta.url), {
      type: "module",
    });
    worker.postMessage({ memory: ring.memory, mount, count });
    return worker;
  });
  const next = [0, 0];
  const item = new RingItem();
  while (next[0]! + next[1]! < 2 * count) {
    const seen = ring.doorbell();
    while (ring.take(item)) {
      const i = next[item.mount]!;
      next[item.mount] = i + 1;
      assert.equal(item.uniqueLo, i);
      assert.equal(item.uniqueHi, item.mount);
      assert.equal(item.slot, i + 1);
      assert.equal(item.offset, i * 2 ** 33 + 7);
      assert.equal(item.length, i % 4096);
    }
    if (next[0]! + next[1]! < 2 * count) await ring.changed(seen);
  }
  assert.deepEqual(next, [count, count]);
  for (const worker of workers) worker.terminate();
});
