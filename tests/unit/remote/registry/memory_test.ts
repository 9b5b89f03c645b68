import assert from "node:assert/strict";
import { RecentSet } from "../../../../lib/remote/registry/memory.ts";

Deno.test("what was noticed is forgotten after its time", () => {
  let now = 0;
  const set = new RecentSet({ maxEntries: 5, keptMs: 100, now: () => now });
  set.add("a");
  now = 99;
  assert.ok(set.has("a"));
  now = 100;
  assert.ok(!set.has("a"));
});

Deno.test("the oldest is forgotten where there is no room, and noticing again makes young", () => {
  const set = new RecentSet({ maxEntries: 2, keptMs: 100, now: () => 0 });
  set.add("a");
  set.add("b");
  set.add("a");
  set.add("c");
  assert.deepEqual(["a", "b", "c"].map((key) => set.has(key)), [
    true,
    false,
    true,
  ]);
  set.delete("a");
  assert.ok(!set.has("a"));
});
