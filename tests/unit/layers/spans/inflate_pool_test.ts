import assert from "node:assert/strict";
import { InflatePool } from "../../../../lib/layers/spans/mod.ts";
import { pause } from "../../../support/host/mod.ts";
import { noiseLayer, readTar, serve } from "./support.ts";

Deno.test("Workers without work for long are stopped, and come again with the next span", async () => {
  const layer = noiseLayer(6);
  using pool = new InflatePool({ size: 2, idleMs: 100 });
  await using served = serve(layer, { pool });
  const read = async (span: number) =>
    assert.deepEqual(
      await readTar(served, span * 65536, 1000),
      layer.tar.subarray(span * 65536, span * 65536 + 1000),
    );
  for (let span = 0; span < 5; span++) {
    assert.equal(pool.size, 2);
    await read(span);
    for (let tries = 0; pool.size > 0 && tries < 100; tries++) await pause(20);
    assert.equal(pool.size, 0);
    pool.wake();
  }
});

Deno.test("Workers stay while a span is still coming, however long that takes", async () => {
  const layer = noiseLayer(3);
  using pool = new InflatePool({ size: 1, idleMs: 30 });
  await using served = serve(layer, { pool });
  const { source } = served;
  source.pieceBytes = 20_000;
  source.pace = () => pause(100);
  assert.deepEqual(
    await readTar(served, 0, 100_000),
    layer.tar.subarray(0, 100_000),
  );
});
