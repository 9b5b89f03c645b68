/** What a killed daemon left of layers, while a store is open. */
import assert from "node:assert/strict";
import { LayerStore } from "../../../../lib/layers/serving/mod.ts";
import { KEPT_UNUSED_MS } from "../../../../lib/layers/store/mod.ts";
import { mountHelperArguments } from "../../../../cmd/program.ts";

const MINUTE_MS = 60_000;

Deno.test({
  name:
    "a store that serves looks at what was left of layers each minute, and it goes after half an hour",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const root = await Deno.makeTempDir({ prefix: "soci-deno-kept-" });
    const { setInterval } = globalThis;
    const { performance } = globalThis;
    const now = performance.now.bind(performance);
    /** What is done each minute. */
    const looks: (() => void)[] = [];
    let lateMs = 0;
    globalThis.setInterval = ((work: () => void, ms: number) => {
      if (ms === MINUTE_MS) looks.push(work);
      return setInterval(work, ms);
    }) as typeof setInterval;
    performance.now = () => now() + lateMs;
    try {
      const blob = `${root}/ingest/blob-${"a".repeat(64)}`;
      await Deno.mkdir(`${root}/ingest`);
      await Deno.writeTextFile(blob, "some of it");
      await using store = await LayerStore.open({
        ...{ root, mountDirectory: `${root}/fs` },
        mountHelper: mountHelperArguments(),
      });
      store.sweep([], "kept");
      const isThere = () => {
        for (const look of looks) look();
        return Deno.readTextFile(blob).then(() => true, () => false);
      };
      assert.ok(await isThere());
      lateMs = KEPT_UNUSED_MS - MINUTE_MS;
      assert.ok(await isThere());
      lateMs = KEPT_UNUSED_MS + MINUTE_MS;
      assert.ok(!await isThere());
    } finally {
      globalThis.setInterval = setInterval;
      performance.now = now;
      await Deno.remove(root, { recursive: true });
    }
  },
});
