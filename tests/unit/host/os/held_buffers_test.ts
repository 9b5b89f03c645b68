import assert from "node:assert/strict";
import { run } from "../../../support/host/mod.ts";

Deno.test("what a call on another thread reads is held until it has returned, and no longer", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-held-" });
  try {
    await run("mkfifo", [`${folder}/fifo`]);
    const { stdout } = await run(Deno.execPath(), [
      ...["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
      new URL("./held_buffers_script.ts", import.meta.url).pathname,
      `${folder}/fifo`,
    ]);
    assert.deepEqual(JSON.parse(stdout), {
      began: false, // else the test shows nothing
      during: false,
      failed: true,
      after: true,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
