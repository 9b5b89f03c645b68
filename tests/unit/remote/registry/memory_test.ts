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

Deno.test("what is noticed again and again is believed longer, up to a bound", () => {
  let now = 0;
  const set = new RecentSet({
    maxEntries: 5,
    keptMs: 100,
    maxKeptMs: 300,
    now: () => now,
  });
  const believedMs = () => {
    const start = now;
    while (set.has("a")) now++;
    return now - start;
  };
  set.add("a");
  set.add("a"); // by several at once
  assert.equal(believedMs(), 100);
  set.add("a");
  assert.equal(believedMs(), 200);
  set.add("a");
  assert.equal(believedMs(), 300);
  set.delete("a");
  set.add("a");
  assert.equal(believedMs(), 100);
});
