import assert from "node:assert/strict";
import { preadFully, pwriteFully } from "../../../../lib/host/os/mod.ts";
import { UncachedSpans } from "../../../../lib/layers/spans/mod.ts";
import {
  noiseLayer,
  readTar,
  serve,
  type ServedTestLayer,
  type TestLayer,
} from "./support.ts";

async function assertReadsRight(
  served: ServedTestLayer,
  { tar, ztoc: { uncompressedSize } }: TestLayer,
): Promise<void> {
  assert.deepEqual(
    await readTar(served, 0, uncompressedSize),
    new Uint8Array(tar.subarray(0, uncompressedSize)),
  );
}

Deno.test("once the disk is broken nothing on it is believed, and nothing is written to it", async () => {
  const layer = noiseLayer(12);
  const uncached = new UncachedSpans();
  await using served = serve(layer, { more: { uncached } });
  const { reader, map, source, dataFd } = served;
  await assertReadsRight(served, layer);
  assert.ok(reader.complete);
  const zeros = new Uint8Array(layer.ztoc.uncompressedSize);
  pwriteFully(dataFd, zeros, 0); // as a disk that lost its writes gives back
  const before = source.fetches.length;

  uncached.diskBroken("pread descriptor 7: EIO");
  assert.equal(map.presentCount, 0);
  for (let times = 0; times < 2; times++) {
    await assertReadsRight(served, layer);
  }
  assert.ok(source.fetches.length > before);
  assert.equal(map.presentCount, 0);
  const onDisk = new Uint8Array(zeros.length);
  preadFully(dataFd, onDisk, 0);
  assert.deepEqual(onDisk, zeros);
});

Deno.test("a span that was written when the disk broke is fetched again", async () => {
  const layer = noiseLayer(4);
  const uncached = new UncachedSpans();
  await using served = serve(layer, { more: { uncached } });
  const { map, source } = served;
  const gate = Promise.withResolvers<void>();
  source.gate = () => gate.promise;
  const reading = assertReadsRight(served, layer);
  // Under way, with the file to be written to; broken when its bytes come.
  await new Promise((resolve) => setTimeout(resolve, 20));
  uncached.diskBroken("pread descriptor 7: EIO");
  gate.resolve();
  await reading;
  assert.equal(map.presentCount, 0);
});
