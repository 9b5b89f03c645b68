import assert from "node:assert/strict";
import { Activity } from "../../../../lib/host/memory/mod.ts";

Deno.test("work changes the count, and no count is like that of running work", () => {
  const calls = new Activity();
  const before = calls.count;
  assert.equal(calls.count, before);
  {
    using _one = calls.begin();
    const seen = calls.count;
    assert(calls.count !== seen); // as if it changed all the time
  }
  assert(calls.count > before);
  assert.equal(calls.count, calls.count);
});

Deno.test("work that is about to begin changes the count, and so do two of them at once", () => {
  const calls = new Activity();
  const before = calls.count;
  calls.note();
  const noted = calls.count;
  assert(noted > before);
  const [one, two] = [calls.begin(), calls.begin()];
  one[Symbol.dispose]();
  assert(Number.isNaN(calls.count)); // the other one still runs
  two[Symbol.dispose]();
  assert(calls.count > noted);
});
