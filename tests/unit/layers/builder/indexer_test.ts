import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import {
  IndexerPool,
  IndexingError,
  type IndexingReason,
  type IndexLayerOptions,
  largestFirst,
  LayerIndexer,
} from "../../../../lib/layers/builder/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeZtoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import {
  compressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

const OPTIONS: IndexLayerOptions = {
  compression: "gzip",
  spanSizeBytes: 65536,
  buildTool: "test",
};

function streamOf(bytes: Uint8Array, pieceBytes: number) {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
}

function sampleTar(fileBytes: number): Uint8Array {
  return new TarBuilder().dir("d").file("d/data", compressible(fileBytes))
    .symlink("link", "d/data").finish();
}

async function refused(
  indexer: LayerIndexer,
  bytes: Uint8Array,
  reason: IndexingReason,
) {
  await assert.rejects(
    indexer.index(streamOf(bytes, 50_000), OPTIONS),
    (error) => {
      assert.ok(error instanceof IndexingError, String(error));
      assert.equal(error.reason, reason, error.message);
      return true;
    },
  );
}

Deno.test("a layer of many times the ring's size comes out as if it were indexed here", async () => {
  const tar = sampleTar(30_000_000);
  const layer = layerBlob(tar, { level: 0 }).bytes;
  const builder = new ZtocBuilder({
    compression: "gzip",
    spanSize: 65536,
    buildTool: "test",
  });
  builder.push(layer);
  const { ztoc } = builder.finish();
  using indexer = new LayerIndexer();
  for (const pieceBytes of [10_007, 9_000_000]) {
    let progress = 0;
    const built = await indexer.index(streamOf(layer, pieceBytes), {
      ...OPTIONS,
      onProgress: (bytes) => progress += bytes,
    });
    assert.equal(sha256(built.ztoc), sha256(encodeZtoc(ztoc)));
    assert.equal(built.digest, sha256(layer));
    assert.equal(built.diffId, sha256(tar));
    assert.equal(built.spanCount, ztoc.spanDigests.length);
    assert.equal(built.entryCount, 3);
    assert.equal(built.compressedSizeBytes, layer.length);
    assert.equal(built.uncompressedSizeBytes, tar.length);
    assert.equal(progress, layer.length);
  }
});

Deno.test("without a diff ID the ztoc is the same", async () => {
  const { bytes, digest } = layerBlob(sampleTar(300_000));
  using indexer = new LayerIndexer();
  const full = await indexer.index(streamOf(bytes, 4096), OPTIONS);
  const fast = await indexer.index(streamOf(bytes, 4096), {
    ...OPTIONS,
    diffId: "skip",
  });
  assert.equal(fast.diffId, null);
  assert.equal(fast.digest, digest);
  assert.deepEqual(fast.ztoc, full.ztoc);
});

Deno.test("after a layer that is refused or whose stream fails, the Worker takes the next", async () => {
  const good = layerBlob(sampleTar(5_000_000), { level: 1 }).bytes;
  using indexer = new LayerIndexer();
  await refused(indexer, good.subarray(0, good.length - 9), "damaged");
  await refused(indexer, sampleTar(9_000_000), "damaged");
  await refused(
    indexer,
    gzipSync(sampleTar(9_000_000).subarray(0, 100_000)),
    "damaged",
  );
  const cut = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(good.slice(0, 1_000));
      controller.error(new Error("the registry went away"));
    },
  });
  await assert.rejects(indexer.index(cut, OPTIONS), /registry went away/);
  const stop = new AbortController();
  await assert.rejects(
    indexer.index(streamOf(good, 1000), {
      ...OPTIONS,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("no more")),
    }),
    /no more/,
  );
  const built = await indexer.index(streamOf(good, 65536), OPTIONS);
  assert.equal(built.digest, sha256(good));
});

Deno.test("an indexer can be disposed while its Worker waits for bytes", async () => {
  const indexer = new LayerIndexer();
  let pulled = Promise.withResolvers<void>();
  const endless = new ReadableStream<Uint8Array>({
    pull: () => pulled.resolve(),
  }, { highWaterMark: 0 });
  indexer.index(endless, OPTIONS).catch(() => {});
  await pulled.promise;
  pulled = Promise.withResolvers();
  indexer[Symbol.dispose]();
  await endless.cancel().catch(() => {}); // locked by the reader that was left
});

Deno.test("of several hundred checkpoints every window is the bytes before it", () => {
  const tar = sampleTar(14_000_000);
  const layer = layerBlob(tar, { level: 0 }).bytes;
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 30_000 });
  builder.push(layer);
  const { bytes, spanCount } = builder.finishEncoded();
  assert.ok(spanCount > 256 + 50, `${spanCount} spans`);
  const { checkpoints } = decodeCheckpoints(decodeZtoc(bytes).checkpoints);
  const plain = gunzipSync(layer);
  for (const { out, window } of checkpoints) {
    const expected = new Uint8Array(32768);
    const known = plain.subarray(Math.max(0, out - 32768), out);
    expected.set(known, 32768 - known.length);
    assert.equal(sha256(window), sha256(expected), `window at ${out}`);
  }
});

Deno.test("a pool indexes more layers than it has Workers, refused ones between them", async () => {
  using pool = new IndexerPool(2);
  const layers = Array.from(
    { length: 7 },
    (_, i) => layerBlob(sampleTar(100_000 * (i + 1))),
  );
  const settled = await Promise.allSettled(
    layers.map(({ bytes }, i) =>
      pool.index(
        streamOf(i % 3 === 1 ? bytes.subarray(0, 5000) : bytes, 10_000),
        OPTIONS,
      )
    ),
  );
  for (const [i, result] of settled.entries()) {
    if (i % 3 === 1) assert.equal(result.status, "rejected");
    else {
      assert.ok(result.status === "fulfilled");
      assert.equal(result.value.digest, layers[i]!.digest);
    }
  }
});

Deno.test("the largest layer is begun first, and each keeps its place", () => {
  const layers = [{ size: 3 }, { size: 9 }, { size: 1 }, { size: 9 }];
  assert.deepEqual(largestFirst(layers).map(([at]) => at), [1, 3, 0, 2]);
});

Deno.test("a layer whose entries make no tree is not indexed: what is indexed is served", async () => {
  using indexer = new LayerIndexer();
  const refusedTars = [
    new TarBuilder().hardlink("a", "nowhere"),
    new TarBuilder().symlink("x", "y").symlink("y", "x").file("x/f"),
    new TarBuilder().file("n".repeat(256)),
  ];
  for (const tar of refusedTars) {
    await refused(indexer, layerBlob(tar).bytes, "unservable");
  }
  const served = new TarBuilder().dir("usr/lib").symlink("lib", "usr/lib")
    .file("lib/x").hardlink("h", "lib/x").file("a/../b");
  await indexer.index(streamOf(layerBlob(served).bytes, 4096), OPTIONS);
});

Deno.test("of damaged bytes nothing is said but that they are: the layer's own may make a tree", async () => {
  using indexer = new LayerIndexer();
  const tar = new TarBuilder().hardlink("a", "nowhere")
    .file("rest", compressible(400_000));
  const { bytes } = layerBlob(tar);
  await refused(indexer, bytes, "unservable");
  const damaged = bytes.slice();
  damaged[damaged.length - 8]! ^= 1; // the checksum
  await refused(indexer, damaged, "damaged");
});
