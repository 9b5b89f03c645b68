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

Deno.test("whoever does something meanwhile is told at once that work begins", () => {
  const calls = new Activity();
  const free = calls.untilNext;
  assert.equal(free.aborted, false);
  calls.note();
  assert.equal(free.aborted, true);
  assert.equal(calls.untilNext.aborted, false);
  using _one = calls.begin();
  const whileItRuns = calls.untilNext;
  calls.note();
  assert.equal(whileItRuns.aborted, true);
});
