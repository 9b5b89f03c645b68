import assert from "node:assert/strict";
import { arm64Deno } from "../support/arm64.ts";
import { tryRun } from "../support/host/mod.ts";
import { testUnless } from "../support/test_unless.ts";

const runner = await arm64Deno();

testUnless("reason" in runner ? runner.reason : null, {
  name: "the unit tests for which the architecture matters hold on arm64",
  fn: async () => {
    const { code, stdout, stderr } = await tryRun(Deno.execPath(), [
      ...["run", "-A", "--no-check", "tests/tasks/arm64.ts"],
    ], { env: { NO_COLOR: "1" }, timeoutMs: 300_000 });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /^ok \| \d{2,} passed/m);
  },
});
