import assert from "node:assert/strict";
import { BroughtFor } from "../../../../lib/images/lazy/brought_for.ts";

Deno.test("what several pulls want comes until the last of them is given up, and then no more", () => {
  const brought = new BroughtFor();
  const [one, other] = [new AbortController(), new AbortController()];
  assert.ok(brought.join(one.signal));
  assert.ok(brought.join(other.signal));
  assert.ok(brought.join(one.signal), "it asks for one layer after another");
  one.abort(new Error("one"));
  assert.equal(brought.signal.aborted, false);
  other.abort(new Error("other"));
  assert.match(String(brought.signal.reason), /other/);
  assert.equal(brought.join(new AbortController().signal), false);
  assert.equal(brought.join(null), false);
});

Deno.test("what somebody wants who never leaves comes in any case", () => {
  const brought = new BroughtFor();
  const pull = new AbortController();
  assert.ok(brought.join(pull.signal));
  assert.ok(brought.join(null));
  pull.abort();
  assert.equal(brought.signal.aborted, false);
});
