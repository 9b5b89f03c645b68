import assert from "node:assert/strict";
import fc from "fast-check";
import { Allowance } from "../../../../lib/layers/opening/allowance.ts";

Deno.test("of an allowance all may be taken at once, and then as much as has come back", () => {
  const allowance = new Allowance(100, 1000);
  assert.ok(allowance.take(60, 5000));
  assert.equal(allowance.take(41, 5000), false);
  assert.ok(allowance.take(40, 5000));
  assert.equal(allowance.take(1, 5000), false);
  assert.equal(allowance.take(51, 5500), false);
  assert.ok(allowance.take(50, 5500));
  assert.ok(allowance.take(100, 90_000));
});

Deno.test("whatever is asked for and when, no more is taken than the most and what has come back", () => {
  const asked = fc.array(fc.tuple(fc.nat(150), fc.nat(400)), { minLength: 1 });
  fc.assert(fc.property(asked, (all) => {
    const allowance = new Allowance(100, 1000);
    let now = 0;
    let taken = 0;
    for (const [amount, laterMs] of all) {
      now += laterMs;
      if (allowance.take(amount, now)) taken += amount;
    }
    assert.ok(taken <= 100 + now / 10 + 1e-6);
  }));
});
