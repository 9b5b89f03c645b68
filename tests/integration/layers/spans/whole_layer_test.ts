import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { LyingZtocError } from "../../../../lib/layers/store/mod.ts";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  encodeZtoc,
  spanTable,
  type Ztoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import {
  compressible,
  incompressible,
  joinBytes,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { ztocWithEmptySpans } from "../../../unit/formats/ztoc/fixture.ts";
import { MemorySource } from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole } from "./support.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Layer {
  readonly blob: Uint8Array;
  readonly digest: string;
  readonly diffId: Digest;
  readonly ztoc: Ztoc;
  readonly file: Uint8Array;
}

/** A layer of one file; `paddingBytes` of zeros follow the tar's end, `behind` follows the blob's. */
function layerOf(
  options: {
    paddingBytes?: number;
    compression?: "gzip" | "gzip-multi" | "zstd-multi" | "none";
    behind?: Uint8Array;
  },
): Layer {
  const { paddingBytes = 0, compression = "gzip" } = options;
  const file = compressible(3_000_000);
  const tar = new TarBuilder().file("file", file).finish();
  const padded = new Uint8Array(tar.length + paddingBytes);
  padded.set(tar);
  const bytes = joinBytes([
    layerBlob(padded, { compression }).bytes,
    options.behind ?? new Uint8Array(0),
  ]);
  const digest = sha256(bytes);
  const builder = new ZtocBuilder({
    compression: compression === "none"
      ? "uncompressed"
      : compression === "zstd-multi"
      ? "zstd"
      : "gzip",
    spanSize: 256 * 1024,
  });
  builder.push(bytes);
  const { ztoc, diffId } = builder.finish();
  assert.ok(diffId !== null);
  return { blob: bytes, digest, diffId, ztoc, file };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await pause(25);
  assert.ok(condition());
}

/** Serves a layer, fills it, and waits until it is marked as checked; once is enough. */
async function passesItsCheck(layer: Layer): Promise<void> {
  await using opened = await openStore();
  const { store, folder } = opened;
  const served = await store.add(
    layer.digest,
    encodeZtoc(layer.ztoc),
    new MemorySource(layer.blob),
    layer.diffId,
  );
  await served.fill();
  const mark = `${folder}/root/layers/${served.slot}/checked`;
  await until(() => {
    try {
      return Deno.readTextFileSync(mark) === layer.diffId;
    } catch {
      return false;
    }
  });
  const marked = Deno.statSync(mark).mtime;
  await pause(500); // long enough to hash it again
  assert.deepEqual(Deno.statSync(mark).mtime, marked, "once is enough");
  await served.shown;
  const result = await readWhole(`${served.directory}/file`);
  assert.ok("bytes" in result);
  assert.deepEqual(result.bytes, layer.file);
}

for (
  const compression of ["gzip", "gzip-multi", "zstd-multi", "none"] as const
) {
  for (const paddingBytes of [0, 9_216, 700_000]) {
    Deno.test(`a whole ${compression} layer with ${paddingBytes} bytes behind its tar passes its check`, async () => {
      await passesItsCheck(layerOf({ paddingBytes, compression }));
    });
  }
}

Deno.test("a layer whose ztoc begins with empty spans, as the existing tools make them, is served and passes its check", async () => {
  const own = layerOf({ paddingBytes: 9_216 });
  const empty = gzipSync(new Uint8Array(0));
  const blob = joinBytes([empty, empty, own.blob]);
  const ztoc = ztocWithEmptySpans(blob, 256 * 1024);
  assert.equal(spanTable(ztoc).first, 2);
  await passesItsCheck({ ...own, blob, digest: sha256(blob), ztoc });
});

for (
  const [what, behind] of [
    ["zeros", new Uint8Array(100_000)],
    ["noise", incompressible(100_000)],
  ] as const
) {
  for (const paddingBytes of [0, 9_216]) {
    Deno.test(`a whole gzip layer with ${what} behind its last member and ${paddingBytes} bytes behind its tar passes its check`, async () => {
      await passesItsCheck(layerOf({ paddingBytes, behind }));
    });
  }
}

Deno.test("a ztoc whose window changes a file's bytes is found out by the whole layer, and not used again", async () => {
  const layer = layerOf({});
  const decoded = decodeCheckpoints(layer.ztoc.checkpoints);
  const checkpoints = decoded.checkpoints.map((checkpoint, i) => {
    if (i !== 4) return checkpoint;
    const window = checkpoint.window.slice();
    for (let at = 0; at < window.length; at++) {
      if (window[at] === 0x66) window[at] = 0x6c; // "fox" becomes "lox"
    }
    return { ...checkpoint, window };
  });
  const ztoc = {
    ...layer.ztoc,
    checkpoints: encodeCheckpoints({ ...decoded, checkpoints }),
  };
  const bytes = encodeZtoc(ztoc);
  await using opened = await openStore();
  const { store } = opened;
  const add = () =>
    store.add(
      layer.digest,
      bytes,
      new MemorySource(layer.blob),
      layer.diffId,
    );
  const served = await add();
  await served.fill();
  await until(() => served.map.presentCount === 0);
  await served.shown;
  const result = await readWhole(`${served.directory}/file`);
  assert.ok("error" in result, "reads fail from then on");
  assert.match(result.error, /Input\/output error/);
  await assert.rejects(add, LyingZtocError);
  assert.equal(sha256(bytes).length, 71);
});

/** A layer that is all here; its check waits a moment. */
async function complete(
  layer: Layer,
  opened: Awaited<ReturnType<typeof openStore>>,
  source = new MemorySource(layer.blob),
) {
  const served = await opened.store.add(
    layer.digest,
    encodeZtoc(layer.ztoc),
    source,
    layer.diffId,
  );
  await served.fill();
  return {
    served,
    source,
    folder: `${opened.folder}/root/layers/${served.slot}`,
  };
}

Deno.test("bytes that the disk changed are fetched again, and condemn no ztoc", async () => {
  const layer = layerOf({});
  await using opened = await openStore();
  const { served, source, folder } = await complete(layer, opened);
  const fetched = source.fetches.length;
  const data = Deno.openSync(`${folder}/data`, { write: true });
  data.seekSync(1_000_000, Deno.SeekMode.Start);
  data.writeSync(Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7));
  data.close();
  await until(() => served.map.presentCount === served.spans.count - 1);
  assert.ok(source.fetches.length > fetched, "all were compared");
  await served.proof.whenProven(AbortSignal.timeout(20_000));
  assert.equal(served.proof.provenDiffId, layer.diffId);
  await served.shown;
  const result = await readWhole(`${served.directory}/file`);
  assert.deepEqual(result, { bytes: layer.file });
});

Deno.test("where no source tells a damaged disk from a lying ztoc, nothing of the layer is believed and nobody is condemned", async () => {
  const layer = layerOf({});
  await using opened = await openStore();
  const { served, source, folder } = await complete(layer, opened);
  let left = 1; // what follows the tar, and nothing after that
  source.gate = () => {
    if (left-- <= 0) throw new Error("gone");
  };
  Deno.truncateSync(`${folder}/data`, 0);
  Deno.truncateSync(`${folder}/data`, layer.ztoc.uncompressedSize);
  await until(() => served.map.presentCount === 0);
  source.gate = () => {};
  await served.proof.whenProven(AbortSignal.timeout(20_000));
  assert.equal(served.proof.provenDiffId, layer.diffId);
});

Deno.test("a second source that lies about what follows the tar condemns no ztoc", async () => {
  for (const compression of ["gzip", "none"] as const) {
    const layer = layerOf({ paddingBytes: 700_000, compression });
    await using opened = await openStore();
    const { served, source } = await complete(layer, opened);
    const lie = layer.blob.slice();
    for (let at = lie.length - 2000; at < lie.length; at++) lie[at]! ^= 0x55;
    const liar = new MemorySource(lie, "liar");
    served.addSource("liar", liar);
    source.gate = () => Promise.reject(new Error("gone"));
    await until(() => liar.fetches.length > 0);
    await pause(300);
    assert.notEqual(served.state, "condemned");
    assert.equal(served.proof.provenDiffId, null, "it is not proven either");
    source.gate = () => {};
    await served.proof.whenProven(AbortSignal.timeout(20_000));
    assert.equal(served.proof.provenDiffId, layer.diffId);
  }
});

Deno.test("a damaged file of headers condemns no ztoc", async () => {
  const layer = layerOf({});
  await using opened = await openStore();
  const served = await opened.store.add(
    layer.digest,
    encodeZtoc(layer.ztoc),
    new MemorySource(layer.blob),
    layer.diffId,
  );
  await served.shown;
  const path = `${opened.folder}/root/layers/${served.slot}/headers`;
  const bytes = Deno.readFileSync(path);
  const headers = Deno.openSync(path, { write: true });
  headers.seekSync(bytes.length - 40, Deno.SeekMode.Start);
  headers.writeSync(bytes.subarray(bytes.length - 40).map((byte) => byte ^ 1));
  headers.close();
  await served.fill().catch(() => {});
  assert.notEqual(served.state, "condemned");
});
