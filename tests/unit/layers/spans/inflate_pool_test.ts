import assert from "node:assert/strict";
import { WINDOW_BYTES } from "../../../../lib/formats/deflate/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { InflatePool } from "../../../../lib/layers/spans/mod.ts";
import { pause } from "../../../support/host/mod.ts";
import { incompressible, TarBuilder } from "../../../support/images/mod.ts";
import { indexed, noiseLayer, readTar, serve } from "./support.ts";

Deno.test("Workers without work for long are stopped, and come again with the next span", async () => {
  const layer = noiseLayer(6);
  using pool = new InflatePool({ size: 2, idleMs: 100 });
  await using served = serve(layer, { pool });
  const read = async (span: number) =>
    assert.deepEqual(
      await readTar(served, span * 65536, 1000),
      layer.tar.subarray(span * 65536, span * 65536 + 1000),
    );
  assert.equal(pool.size, 0, "none before there is work");
  pool.wake();
  for (let span = 0; span < 5; span++) {
    assert.equal(pool.size, 1);
    await read(span);
    for (let tries = 0; pool.size > 0 && tries < 100; tries++) await pause(20);
    assert.equal(pool.size, 0);
    pool.wake();
  }
});

Deno.test("one Worker does what comes one by one, the others come when it is busy, and one stays when nothing is expected", async () => {
  const layer = noiseLayer(8);
  using pool = new InflatePool({ size: 3 });
  await using served = serve(layer, { pool });
  pool.rest();
  assert.equal(pool.size, 0, "none is started");
  const read = async (span: number) =>
    assert.deepEqual(
      await readTar(served, span * 65536, 1000),
      layer.tar.subarray(span * 65536, span * 65536 + 1000),
    );
  await read(0);
  await read(1);
  assert.equal(pool.size, 1);
  await Promise.all([2, 3, 4, 5, 6].map(read));
  assert.ok(pool.size > 1, "several spans waited");
  pool.rest();
  assert.equal(pool.size, 1);
  await read(7);
});

Deno.test("while the background fills a layer, a Worker is up for the next reader", async () => {
  const layer = noiseLayer(2);
  using pool = new InflatePool({ size: 2 });
  await using served = serve(layer, { pool });
  await served.reader.ensureSpans(
    0,
    0,
    "background",
    AbortSignal.timeout(20_000),
  );
  assert.equal(pool.size, 2);
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

Deno.test("a large span that arrives in crumbs reaches its Worker in a few pieces, a small one as it comes", async () => {
  const tar = new TarBuilder().file("large", incompressible(2 ** 21, 1));
  const { ztoc, blob } = indexed(tar, 2 ** 22);
  const spans = spanTable(ztoc);
  using pool = new InflatePool({ size: 1 });
  const { postMessage } = Worker.prototype;
  let posted = 0;
  Worker.prototype.postMessage = function (...given: unknown[]) {
    posted++;
    return Reflect.apply(postMessage, this, given);
  };
  try {
    const end = spans.compressedEnd(0);
    const stream = pool.stream(
      () => ({
        ...{ fd: null, digest: spans.digest(0), offset: 0, headers: null },
        ...{ size: spans.end(0), packed: null },
        packing: {
          ...{ kind: "gzip", bits: spans.bits(0) },
          window: new Uint8Array(WINDOW_BYTES),
        },
      }),
      { start: spans.compressedStart(0), end, bytesPerMs: 0 },
    );
    for (let at = 0; at < end; at += 16 * 1024) stream!.reached(blob, at);
    const outcome = await stream!.finish(blob, end, null);
    assert.equal(outcome.kind, "unwritten", JSON.stringify(outcome)); // right, and there is no file
    assert.ok(posted > 4 && posted <= 10, `${posted} messages`);
  } finally {
    Worker.prototype.postMessage = postMessage;
  }
});
