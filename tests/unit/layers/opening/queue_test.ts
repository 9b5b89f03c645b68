import assert from "node:assert/strict";
import { OpeningQueue } from "../../../../lib/layers/opening/queue.ts";

const item = (share: string, size: number) => ({ share, size });

Deno.test("each share has its turn, however many items another has", () => {
  const queue = new OpeningQueue<ReturnType<typeof item>>();
  for (let i = 0; i < 5; i++) queue.push(item("many", i));
  queue.push(item("few", 10));
  queue.push(item("few", 11));
  const order = Array.from({ length: 7 }, () => queue.take(() => true)?.size);
  assert.deepEqual(order, [0, 10, 1, 11, 2, 3, 4]);
  assert.equal(queue.take(() => true), null);
});

Deno.test("what there is no room for is passed over, and keeps its turn", () => {
  const queue = new OpeningQueue<ReturnType<typeof item>>();
  queue.push(item("large", 9));
  queue.push(item("small", 1));
  queue.push(item("small", 2));
  assert.equal(queue.take(({ size }) => size < 5)?.size, 1);
  assert.equal(queue.take(() => true)?.size, 9);
  assert.deepEqual(queue.drain().map(({ size }) => size), [2]);
  assert.equal(queue.take(() => true), null);
});
