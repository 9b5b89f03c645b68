import assert from "node:assert/strict";
import { isNamed } from "../../../../lib/images/lazy/trust.ts";

Deno.test("repositories that may bring indexes are named by patterns", () => {
  const of = (...patterns: string[]) =>
    isNamed({ host: "r.example:5000", repository: "team/app" }, patterns);
  assert.ok(of("**"));
  assert.ok(of("r.example:5000/team/app"));
  assert.ok(of("r.example:5000/**"));
  assert.ok(of("other", "*/team/*"));
  assert.ok(!of("r.example:5000/*"));
  assert.ok(!of("r.example:5000/team"));
  assert.ok(!of("rxexample:5000/team/app"));
  assert.ok(!of());
});
