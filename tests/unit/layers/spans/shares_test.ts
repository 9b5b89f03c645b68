import fc from "fast-check";
import assert from "node:assert/strict";
import { FairShares } from "../../../../lib/layers/spans/mod.ts";
import { fairShare } from "../../../../lib/layers/spans/shares.ts";
import { TurnQueue } from "../../../../lib/layers/spans/turn_queue.ts";

Deno.test("alone one has all there is for one; whoever comes still finds room, however many there are", () => {
  const shares = new FairShares<number>(12);
  assert.equal(shares.roomOf(0), 12);
  for (let one = 0; one < 30; one++) {
    const room = shares.roomOf(one);
    assert.ok(room > 0, `${one} finds ${room}`);
    shares.take(one, room);
  }
});

Deno.test("whatever is taken within its room and given back, all have less than half as much again", () => {
  const step = fc.record({
    who: fc.nat(5),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(fc.property(fc.array(step), (steps) => {
    const shares = new FairShares<number>(12);
    const held = new Map<number, number>();
    for (const { who, part } of steps) {
      const mine = held.get(who) ?? 0;
      const room = shares.roomOf(who);
      if (room > 0) {
        shares.take(who, room * part);
        held.set(who, mine + room * part);
      } else {
        shares.give(who, mine);
        held.delete(who);
      }
      const all = [...held.values()].reduce((sum, n) => sum + n, 0);
      assert.ok(all < 18 + 1e-6, `${all}`);
      for (const [who, mine] of held) {
        assert.ok(Math.abs(shares.heldBy(who) - mine) < 1e-6);
      }
    }
  }));
});

Deno.test("without a bound a share has none, and nobody's share is below nothing", () => {
  assert.equal(fairShare(Infinity, 1e12), Infinity);
  assert.equal(fairShare(10, 1000), 0);
});

Deno.test("who brought much waits behind who brought little, thing by thing, and keeps its own order", () => {
  const queue = new TurnQueue<string>();
  for (let i = 0; i < 4; i++) queue.push("a", `a${i}`);
  queue.push("b", "b0");
  queue.push("c", "c0");
  queue.push("b", "b1");
  assert.equal(queue.size, 7);
  const order = Array.from({ length: 8 }, () => queue.next());
  assert.deepEqual(order, [
    "a0",
    "b0",
    "c0",
    "a1",
    "b1",
    "a2",
    "a3",
    undefined,
  ]);
});
