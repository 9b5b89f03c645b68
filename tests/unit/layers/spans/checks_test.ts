/** What an earlier process left in the data file: it is compared before its first use, span by span. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { showsLayer, SpanState } from "../../../../lib/layers/spans/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import {
  indexed,
  noiseLayer,
  readTar,
  serve,
  type TestLayer,
} from "./support.ts";

const LAYER = noiseLayer(6);
const SPANS = spanTable(LAYER.ztoc);
const LENGTH = LAYER.ztoc.uncompressedSize;

/** A folder that a reader left with the whole layer in it. */
async function left(layer: TestLayer = LAYER): Promise<string> {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-checks-" });
  await using served = serve(layer, { folder });
  await readTar(served, 0, layer.ztoc.uncompressedSize);
  return folder;
}

function flip(folder: string, at: number): void {
  using file = Deno.openSync(`${folder}/data`, { read: true, write: true });
  const byte = new Uint8Array(1);
  file.seekSync(at, Deno.SeekMode.Start);
  file.readSync(byte);
  byte[0]! ^= 1;
  file.seekSync(at, Deno.SeekMode.Start);
  file.writeSync(byte);
}

function assertTar(bytes: Uint8Array, layer: TestLayer = LAYER): void {
  assert.equal(Buffer.compare(bytes, layer.tar.subarray(0, bytes.length)), 0);
}

Deno.test("after a restart what is here is read without a request, and a span whose bytes the disk changed is fetched again and told", async () => {
  const folder = await left();
  flip(folder, SPANS.start(2) + 1000);
  let told = 0;
  await using served = serve(LAYER, {
    folder,
    more: { onDamaged: () => told++ },
  });
  assert.ok(served.reader.complete);
  assertTar(await readTar(served, 0, LENGTH));
  assert.deepEqual(
    served.source.fetches.map(({ start, end }) => [start, end]),
    [[SPANS.compressedStart(2), SPANS.compressedEnd(2)]],
  );
  assert.equal(told, 1);
  assert.ok(served.reader.complete);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("bytes that the disk changed are never read, also when no source has the right ones", async () => {
  const folder = await left();
  flip(folder, SPANS.end(3) - 1);
  await using served = serve(LAYER, { folder });
  served.source.gate = () => Promise.reject(new Error("no registry"));
  const into = new Uint8Array(LENGTH);
  assert.equal(served.reader.copy(0, into), false, "nothing was compared yet");
  await assert.rejects(readTar(served, 0, LENGTH), /no registry/);
  assert.equal(served.reader.stateOf(3), SpanState.MISSING);
  assert.equal(served.map.has(3), false);
  assertTar(await readTar(served, 0, SPANS.start(3)));
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a reader that leaves while a span is compared, and one that comes meanwhile, take nothing from each other", async () => {
  const folder = await left();
  flip(folder, 5);
  await using served = serve(LAYER, { folder });
  const stop = new AbortController();
  const first = served.reader.ensureSpans(0, 0, "demand", stop.signal);
  const second = readTar(served, 0, 100);
  stop.abort(new Error("left"));
  await assert.rejects(first, /left/);
  assertTar(await second);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a registry shows a layer by bytes that an earlier process left, once they were compared", async () => {
  const folder = await left();
  await using served = serve(LAYER, { folder });
  const { reader, map, source } = served;
  const layer = {
    spans: SPANS,
    compression: LAYER.ztoc.compression,
    has: (span: number) => map.has(span),
    compared: (first: number, last: number) => reader.compared(first, last),
    copy: (offset: number, into: Uint8Array<ArrayBuffer>) =>
      reader.copy(offset, into),
  };
  assert.ok(await showsLayer(layer, source, new AbortController().signal));
  assert.equal(source.fetches.length, 1);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a header that crosses into bytes that the disk changed blames nobody: they are fetched again", async () => {
  // Files whose headers lie across the ends of spans.
  const tar = new TarBuilder();
  for (let i = 0; i < 40; i++) {
    tar.file(`${"deep/".repeat(40)}file-${i}`, incompressible(3000, i + 1));
  }
  const layer = indexed(tar, 16 * 1024);
  const spans = spanTable(layer.ztoc);
  for (let span = 0; span < 4; span++) {
    const folder = Deno.makeTempDirSync({ prefix: "soci-deno-checks-" });
    {
      await using served = serve(layer, { folder });
      await served.reader.ensureSpans(
        span,
        span,
        "demand",
        AbortSignal.timeout(9_000),
      );
    }
    flip(folder, spans.end(span) - 1);
    await using served = serve(layer, {
      folder,
      more: { onLie: (lie) => assert.fail(String(lie)) },
    });
    await readTar(served, spans.start(span + 1), 1); // its neighbour first
    assertTar(await readTar(served, 0, layer.ztoc.uncompressedSize), layer);
    Deno.removeSync(folder, { recursive: true });
  }
});
