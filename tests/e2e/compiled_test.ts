import assert from "node:assert/strict";
import { testRuntime } from "../support/compiled/runtime.ts";
import { tryRun } from "../support/host/mod.ts";
import { testUnless } from "../support/test_unless.ts";

const missing = await testRuntime().then(
  () => null,
  (error: Error) => `no base runtime can be had: ${error.message}`,
);

testUnless(missing, {
  name:
    "one compiled file, with neither checkout nor caches beside it, starts a container lazily and hands over to another, after its file was replaced, too",
  fn: async () => {
    const { code, stdout, stderr } = await tryRun(Deno.execPath(), [
      ...["run", "-A", "--no-check", "tests/tasks/compiled.ts", "short"],
    ], { timeoutMs: 300_000 });
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, /lazy: ok/);
    assert.match(stdout, /restart: ok/);
    assert.match(stdout, /upgrade: ok/);
  },
});
