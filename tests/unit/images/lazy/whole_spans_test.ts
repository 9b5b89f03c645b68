/** Layers that are inflated on all cores, from checkpoints that nobody has proven. */
import assert from "node:assert/strict";
import { gunzipSync, gzipSync } from "node:zlib";
import {
  CheckpointsError,
  type KnownSpans,
  knownSpans,
  tarBySpans,
} from "../../../../lib/images/lazy/whole_spans.ts";
import { InflatePool } from "../../../../lib/layers/spans/mod.ts";
import { closeFd, O, openFd } from "../../../../lib/host/os/mod.ts";
import {
  encodeZtoc,
  openZtoc,
  type Ztoc,
  ZtocBuilder,
} from "../../../../lib/formats/ztoc/mod.ts";
import {
  compressible,
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

const SPAN_SIZE = 200_000;
const TAR = new TarBuilder().file("text", compressible(1_500_000))
  .file("noise", incompressible(600_000))
  .file("more", compressible(700_000)).finish();
const PADDED = new Uint8Array([...TAR, ...new Uint8Array(300_000)]);

const LAYERS: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
  gzip: new Uint8Array(layerBlob(TAR).bytes),
  "many members": new Uint8Array(
    layerBlob(TAR, { compression: "gzip-multi" }).bytes,
  ),
  stored: new Uint8Array(gzipSync(TAR, { level: 0 })),
  "gzip, padded": new Uint8Array(gzipSync(PADDED)),
};

function ztocOf(layer: Uint8Array, windows: "all" | "used" = "all"): Ztoc {
  const builder = new ZtocBuilder({
    ...{ compression: "gzip", spanSize: SPAN_SIZE, windows },
  });
  builder.push(layer.slice());
  return builder.finish().ztoc;
}

const spansOf = (ztoc: Ztoc, layer: Uint8Array) =>
  knownSpans(encodeZtoc(ztoc), { size: layer.length })!;

async function* pieces(layer: Uint8Array<ArrayBuffer>, size: number) {
  for (let at = 0; at < layer.length; at += size) {
    await Promise.resolve();
    yield layer.slice(at, at + size);
  }
}

/** What is given in order, and what is in the file. */
async function taken(
  layer: Uint8Array<ArrayBuffer>,
  spans: KnownSpans,
  pieceBytes = 70_001,
): Promise<{ given: Uint8Array; file: Uint8Array }> {
  const path = await Deno.makeTempFile();
  const fd = openFd(path, O.RDWR);
  using pool = new InflatePool({ size: 2 });
  try {
    const given: Uint8Array[] = [];
    const tar = tarBySpans({
      ...{ blob: pieces(layer, pieceBytes), sizeBytes: layer.length },
      ...{ spans, fd, pool, share: "", look: () => {} },
    });
    for await (const piece of tar) given.push(piece);
    return {
      given: new Uint8Array(await new Blob(given as BlobPart[]).arrayBuffer()),
      file: await Deno.readFile(path),
    };
  } finally {
    closeFd(fd);
    await Deno.remove(path);
  }
}

for (const [how, layer] of Object.entries(LAYERS)) {
  for (const windows of ["all", "used"] as const) {
    Deno.test(`a layer packed as ${how} is inflated from its checkpoints, ${windows} of whose windows are known, to the same bytes`, async () => {
      const ztoc = ztocOf(layer, windows);
      for (const size of [70_001, 2 ** 20]) {
        const { given, file } = await taken(layer, spansOf(ztoc, layer), size);
        assert.deepEqual(given, new Uint8Array(gunzipSync(layer)));
        assert.deepEqual(file, TAR.slice(0, ztoc.uncompressedSize));
      }
    });
  }
}

Deno.test("the ztoc of a tar whose spans are known is the one of its layer", () => {
  for (const layer of Object.values(LAYERS)) {
    const ztoc = encodeZtoc(ztocOf(layer));
    const builder = new ZtocBuilder({
      ...{ compression: "gzip", spanSize: SPAN_SIZE, known: openZtoc(ztoc) },
    });
    builder.push(new Uint8Array(gunzipSync(layer)));
    const { bytes, diffId, digest } = builder.finishEncoded();
    assert.deepEqual(bytes, ztoc);
    assert.equal(diffId, digest);
  }
});

Deno.test("a ztoc that lies of the layer's spans is told, or gives other bytes; none is written past the layer", async () => {
  const layer = LAYERS["gzip"]!;
  const right = ztocOf(layer);
  const other = ztocOf(
    new Uint8Array(gzipSync(TAR.toReversed().slice(0, TAR.length))),
  );
  const windows = right.checkpoints.slice();
  windows.fill(7, windows.length - 32_768);
  const lies: Record<string, Ztoc> = {
    "digests of another layer": {
      ...right,
      spanDigests: right.spanDigests.map(() => other.spanDigests[0]!),
    },
    "a window": { ...right, checkpoints: windows },
    "less of the tar": {
      ...right,
      uncompressedSize: right.uncompressedSize - 512,
    },
  };
  for (const [what, lie] of Object.entries(lies)) {
    const spans = knownSpans(encodeZtoc(lie), { size: layer.length });
    if (spans === null) continue;
    try {
      const { given, file } = await taken(layer, spans);
      assert.ok(file.length <= TAR.length, what);
      if (what === "a window") assert.notDeepEqual(given, TAR);
    } catch (error) {
      assert.ok(error instanceof CheckpointsError, `${what}: ${error}`);
    }
  }
});

Deno.test("a ztoc for another size of the layer, or of a tar, is of no use", () => {
  const layer = LAYERS["gzip"]!;
  const ztoc = encodeZtoc(ztocOf(layer));
  assert.equal(knownSpans(ztoc, { size: layer.length + 1 }), null);
  const builder = new ZtocBuilder({
    ...{ compression: "uncompressed", spanSize: SPAN_SIZE },
  });
  builder.push(TAR.slice());
  const ofTar = encodeZtoc(builder.finish().ztoc);
  assert.equal(knownSpans(ofTar, { size: TAR.length }), null);
});
