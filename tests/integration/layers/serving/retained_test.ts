import assert from "node:assert/strict";
import { tryRun } from "../../../support/host/mod.ts";

/** Windows and digests of its spans; of its ten thousand files alone the names are as much. */
const MAX_KEPT_BYTES = 300_000;

Deno.test("of a served layer the daemon keeps its spans, and nothing of its files", async () => {
  const script = new URL("retained_script.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await tryRun(Deno.execPath(), [
    ...["run", "-A", "--no-check", "--unstable-worker-options"],
    ...["--v8-flags=--expose-gc", script],
  ], { timeoutMs: 60_000 });
  assert.equal(code, 0, stderr);
  const keptBytes = Number(stdout.trim());
  assert.ok(keptBytes < MAX_KEPT_BYTES, `${keptBytes} bytes a layer`);
});
