import assert from "node:assert/strict";
import { pause } from "../../../support/host/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE } from "./support.ts";

Deno.test({
  name:
    "readers that wait are killed at once, however many, and the others read on",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(4 * SPAN_BYTES);
    await using layer = await Layer.serve("fuse", entries, data, {
      workersPerMount: 2,
    });
    const gate = Promise.withResolvers<void>();
    layer.gate = gate.promise;
    const readers = Array.from(
      { length: 12 },
      (_, i) =>
        new Deno.Command("dd", {
          args: [
            ...[`if=${layer.directory}/file`, "bs=4096", "count=1"],
            ...[`skip=${i * 20}`, "iflag=direct", "status=none"],
          ],
          stdout: "piped",
        }).spawn(),
    );
    await pause(1500);
    const began = performance.now();
    for (const reader of readers.slice(0, 8)) reader.kill("SIGKILL");
    for (const reader of readers.slice(0, 8)) {
      assert.equal((await reader.output()).signal, "SIGKILL");
    }
    assert.ok(performance.now() - began < 10_000);
    gate.resolve();
    for (const [i, reader] of readers.slice(8).entries()) {
      const { success, stdout } = await reader.output();
      assert.ok(success);
      const at = 512 + (i + 8) * 20 * 4096;
      assert.deepEqual(stdout, data.slice(at, at + 4096));
    }
  },
});
