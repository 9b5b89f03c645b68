/** Workers that index and break down. */
import assert from "node:assert/strict";
import {
  IndexerPool,
  IndexingError,
} from "../../../../lib/layers/builder/mod.ts";
import { BREAKS_AT_ONCE, workersOf } from "../../../support/broken_workers.ts";
import { pause } from "../../../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

/** More than a ring holds, so that whoever writes into it waits for the Worker. */
const { bytes: LAYER, diffId } = layerBlob(
  new TarBuilder().file("noise", incompressible(9_000_000, 1)),
);

const index = (pool: IndexerPool) =>
  pool.index(ReadableStream.from([LAYER.slice()]), {
    ...{ compression: "gzip", spanSizeBytes: 2 ** 20, buildTool: "test" },
  });

/** Who waits for memory alone does not keep the runtime from ending. */
function stayAwake(): Disposable {
  const timer = setInterval(() => {}, 1000);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const isInternal = (error: unknown) =>
  error instanceof IndexingError && error.reason === "internal";

Deno.test("of Workers that break down at each start one is started for each layer, which fails at once; later layers are indexed", async () => {
  using _awake = stayAwake();
  using pool = new IndexerPool(2);
  {
    using workers = workersOf(BREAKS_AT_ONCE);
    const settled = await Promise.allSettled(
      Array.from({ length: 5 }, () => index(pool)),
    );
    for (const one of settled) {
      assert.ok(one.status === "rejected" && isInternal(one.reason));
    }
    assert.equal(workers.starts(), 5);
    await pause(300); // nobody waits
    assert.equal(workers.starts(), 5);
  }
  assert.equal((await index(pool)).diffId, diffId);
});

Deno.test("a Worker that broke down while it had nothing to do fails no layer", async () => {
  using _awake = stayAwake();
  using pool = new IndexerPool(1, {
    name: "indexer",
    start: () => {
      worker = new Worker(
        new URL("../../../../lib/layers/builder/worker.ts", import.meta.url),
        { type: "module", deno: { permissions: "none" } },
      );
      return worker;
    },
  });
  let worker: Worker | undefined;
  assert.equal((await index(pool)).diffId, diffId);
  // It is told of no layer, and throws.
  worker!.postMessage({ from: null });
  await pause(500);
  assert.equal((await index(pool)).diffId, diffId);
});
