import assert from "node:assert/strict";
import { TurnQueue } from "../../../../lib/layers/spans/turn_queue.ts";

Deno.test("each share has its turn, however many items another has", () => {
  const queue = new TurnQueue<number>();
  for (let i = 0; i < 5; i++) queue.push("many", i);
  queue.push("few", 10);
  queue.push("few", 11);
  const order = Array.from({ length: 7 }, () => queue.next());
  assert.deepEqual(order, [0, 10, 1, 11, 2, 3, 4]);
  assert.equal(queue.next(), undefined);
});

Deno.test("what there is no room for is passed over, and keeps its turn", () => {
  const queue = new TurnQueue<number>();
  queue.push("large", 9);
  queue.push("small", 1);
  queue.push("small", 2);
  assert.equal(queue.next((size) => size < 5), 1);
  assert.equal(queue.next(), 9);
  assert.deepEqual(queue.drain(), [2]);
  assert.equal(queue.next(), undefined);
});
