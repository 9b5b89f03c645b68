import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  type Checkpoint,
  GzipIndexer,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";

const FIXTURES = new URL("../../../fixtures/zinfo/", import.meta.url);
const RECORD_BYTES = 32785;

function indexGzip(gzip: Uint8Array, spanSize: number, pieceBytes: number) {
  const checkpoints: Checkpoint[] = [];
  const output = createHash("sha256");
  const indexer = new GzipIndexer({
    spanSize,
    onOutput: (chunk) => output.update(chunk),
    onCheckpoint: (checkpoint) => checkpoints.push(checkpoint),
  });
  for (let at = 0; at < gzip.length; at += pieceBytes) {
    indexer.push(gzip.subarray(at, at + pieceBytes));
  }
  return { checkpoints, ...indexer.finish(), digest: output.digest("hex") };
}

/** The blob of reference format §2, written here so that the test does not lean on lib/ztoc. */
function blobOf(checkpoints: readonly Checkpoint[], spanSize: number) {
  const blob = new Uint8Array(12 + RECORD_BYTES * checkpoints.length);
  const view = new DataView(blob.buffer);
  view.setInt32(0, checkpoints.length, true);
  view.setBigInt64(4, BigInt(spanSize), true);
  checkpoints.forEach(({ in: at, out, bits, window }, i) => {
    const base = 12 + RECORD_BYTES * i;
    view.setBigInt64(base, BigInt(at), true);
    view.setBigInt64(base + 8, BigInt(out), true);
    blob[base + 16] = bits;
    blob.set(window, base + 17);
  });
  return blob;
}

for (
  const name of ["plain", "fname", "stored", "multi", "tiny", "emptyfirst"]
) {
  for (const pieceBytes of [1 << 30, 4099]) {
    Deno.test(`${name}.gz read in pieces of ${pieceBytes} gives the golden blob`, async () => {
      const gzip = await Deno.readFile(new URL(`${name}.gz`, FIXTURES));
      const golden = await Deno.readFile(new URL(`${name}.bin`, FIXTURES));
      const spanSize = Number(
        new DataView(golden.buffer).getBigInt64(4, true),
      );
      const { checkpoints, compressedSize } = indexGzip(
        gzip,
        spanSize,
        pieceBytes,
      );
      assert.equal(compressedSize, gzip.length);
      assert.deepEqual(blobOf(checkpoints, spanSize), golden);
    });
  }

  Deno.test(`every span of ${name}.gz inflates by itself`, async () => {
    const gzip = await Deno.readFile(new URL(`${name}.gz`, FIXTURES));
    const { checkpoints, uncompressedSize, digest } = indexGzip(
      gzip,
      262144,
      1 << 20,
    );
    const inflater = new SpanInflater();
    const together = createHash("sha256");
    checkpoints.forEach(({ in: at, out, bits, window }, i) => {
      const next = checkpoints[i + 1];
      together.update(inflater.inflate(
        gzip.subarray(at - (bits > 0 ? 1 : 0), next?.in ?? gzip.length),
        bits,
        window,
        (next?.out ?? uncompressedSize) - out,
      ));
    });
    assert.equal(together.digest("hex"), digest);
  });
}
