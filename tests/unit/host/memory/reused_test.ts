/** Memory that downloads use again. */
import assert from "node:assert/strict";
import { ReusedBlocks } from "../../../../lib/host/memory/mod.ts";

Deno.test("a block that was given is taken again, whatever part of it was used", () => {
  using blocks = new ReusedBlocks(100, 2);
  const first = blocks.take(100);
  const second = blocks.take(70);
  assert.notEqual(first.buffer, second.buffer);
  assert.equal(second.length, 70);
  blocks.give(second);
  assert.equal(blocks.take(90).buffer, second.buffer);
});

Deno.test("no more blocks are kept than may be, and nothing that is larger than one", () => {
  using blocks = new ReusedBlocks(100, 1);
  const [kept, more, large] = [100, 100, 101].map((it) => blocks.take(it));
  assert.equal(large!.length, 101);
  for (const memory of [large!, kept!, more!]) blocks.give(memory);
  assert.equal(kept!.buffer.detached, false);
  assert.equal(more!.buffer.detached, true);
  assert.equal(large!.buffer.detached, true);
});

Deno.test("once they are of no use their memory is freed, that of those who are late as well", () => {
  const blocks = new ReusedBlocks(100, 5);
  const [spare, used] = [blocks.take(100), blocks.take(100)];
  blocks.give(spare);
  blocks[Symbol.dispose]();
  blocks.give(used);
  assert.equal(spare.buffer.detached, true);
  assert.equal(used.buffer.detached, true);
});
