import assert from "node:assert/strict";
import { Failures } from "../../../../lib/images/lazy/failures.ts";

function timed() {
  const clock = { ms: 0 };
  const failures = new Failures({
    keptMs: 100,
    maxKeptMs: 250,
    maxEntries: 2,
    now: () => clock.ms,
  });
  return { clock, failures };
}

Deno.test("a failure is believed as long as somebody asks, but not for ever", () => {
  const { clock, failures } = timed();
  const error = new Error("no");
  failures.add("a", error);
  for (const ms of [90, 180, 249]) {
    clock.ms = ms;
    assert.equal(failures.of("a")?.error, error);
  }
  clock.ms = 250;
  assert.equal(failures.of("a"), null);
});

Deno.test("a failure nobody asks for is forgotten", () => {
  const { clock, failures } = timed();
  failures.add("a", new Error("no"));
  clock.ms = 100;
  assert.equal(failures.of("a"), null);
});

Deno.test("failures are bounded, and forgotten when it went well", () => {
  const { failures } = timed();
  for (const key of ["a", "b", "c"]) failures.add(key, new Error(key));
  assert.equal(failures.of("a"), null);
  assert.notEqual(failures.of("c"), null);
  failures.forget("c");
  assert.equal(failures.of("c"), null);
});
