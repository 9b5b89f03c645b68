/** Layers that are inflated on all cores, from checkpoints that nobody has proven. */
import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import {
  CheckpointsError,
  inflateUnits,
  type PlannedUnits,
  planUnits,
  tarWriters,
} from "../../../../lib/layers/whole/mod.ts";
import {
  comingLayer,
  type IndexedLayer,
  IndexingError,
} from "../../../../lib/layers/builder/mod.ts";
import { SpanInflater } from "../../../../lib/formats/deflate/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeZtoc,
  readPlaces,
  spanTable,
  type Ztoc,
  ZtocBuilder,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import { BREAKS_AT_ONCE, workersOf } from "../../../support/broken_workers.ts";
import {
  compressible,
  incompressible,
  layerBlob,
  TarBuilder,
} from "../../../support/images/mod.ts";

const SPAN_SIZE = 100_000;
const UNIT_BYTES = 450_000;
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

/** The places of a ztoc, as if it lay in a file. */
function placesOf(ztoc: Uint8Array) {
  return readPlaces({
    size: ztoc.length,
    read: (into, at) => into.set(ztoc.subarray(at, at + into.length)),
  }, () => Promise.resolve());
}

async function unitsOf(ztoc: Ztoc): Promise<PlannedUnits> {
  const places = await placesOf(encodeZtoc(ztoc));
  return planUnits(places!, UNIT_BYTES)!;
}

/** What comes of a layer by its units. */
async function taken(
  layer: Uint8Array<ArrayBuffer>,
  ztoc: Ztoc,
  requestBytes = 600_000,
): Promise<{ digest: string; indexed: IndexedLayer; file: Uint8Array }> {
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const files = { data: `${folder}/tar`, ztoc: `${folder}/ztoc` };
  await Deno.writeFile(files.data, new Uint8Array(0));
  await Deno.writeFile(files.ztoc, encodeZtoc(ztoc));
  const units = await unitsOf(ztoc);
  const coming = comingLayer(units, files);
  using writers = tarWriters(1, folder);
  try {
    const inflated = inflateUnits({
      ...{ units, files, folder, workers: 2, look: () => {} },
      fetch: (start, end, into) =>
        Promise.resolve(into.set(layer.subarray(start, end))),
      requestBytes,
      signal: new AbortController().signal,
    }, coming);
    const indexed = writers.indexUnits(coming, {
      ...{ compression: "gzip", spanSizeBytes: SPAN_SIZE, buildTool: "test" },
    });
    await Promise.allSettled([inflated, indexed]);
    const made = await indexed;
    const digest = await inflated;
    return { digest, indexed: made!, file: await Deno.readFile(files.data) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Every span of a ztoc, inflated by itself. */
function bySpans(layer: Uint8Array, ztoc: Ztoc): Uint8Array {
  const table = spanTable(ztoc);
  const tar = new Uint8Array(ztoc.uncompressedSize);
  for (let span = 0; span < table.count; span++) {
    const bytes = layer.subarray(
      table.compressedStart(span),
      table.compressedEnd(span),
    );
    assert.equal(sha256(bytes), table.digest(span), `span ${span}`);
    const size = table.end(span) - table.start(span);
    tar.set(
      new SpanInflater()
        .inflate(bytes, table.bits(span), table.window(span)!, size),
      table.start(span),
    );
  }
  return tar;
}

for (const [how, layer] of Object.entries(LAYERS)) {
  for (const windows of ["all", "used"] as const) {
    Deno.test(`a layer packed as ${how} is inflated by its units, ${windows} of whose windows are known, to the same bytes and a ztoc of its own`, async () => {
      const known = ztocOf(layer, windows);
      const { digest, indexed, file } = await taken(layer, known);
      const tar = new Uint8Array(gunzipSync(layer));
      assert.equal(digest, sha256(layer));
      assert.equal(indexed.diffId, sha256(tar));
      assert.deepEqual(file, tar);
      const own = decodeZtoc(indexed.ztoc);
      assert.deepEqual(own.entries, known.entries);
      assert.equal(own.uncompressedSize, known.uncompressedSize);
      assert.ok(own.spanDigests.length > 1);
      assert.ok(own.spanDigests.length < known.spanDigests.length);
      assert.deepEqual(bySpans(layer, own), tar.slice(0, own.uncompressedSize));
      // With other windows nobody has seen what comes of these places.
      const all = decodeCheckpoints(known.checkpoints).checkpoints;
      for (const kept of decodeCheckpoints(own.checkpoints).checkpoints) {
        const { window } = all.find((one) => one.in === kept.in)!;
        assert.equal(sha256(kept.window), sha256(window), `${kept.out}`);
      }
    });
  }
}

Deno.test("the bytes of a large request are hashed a little at a time, and a unit that is a request by itself is right, too", async () => {
  const tar = new TarBuilder().file("noise", incompressible(8_000_000, 5))
    .finish();
  const layer = new Uint8Array(gzipSync(tar, { level: 0 }));
  const known = ztocOf(layer);
  const wanted = sha256(layer);
  for (const requestBytes of [2 ** 23, 3_000_000, 1]) {
    const hash = Object.getPrototypeOf(createHash("sha256")) as Hash;
    const { update } = hash;
    let most = 0;
    hash.update = function (this: Hash, ...[data]: Parameters<Hash["update"]>) {
      most = Math.max(most, (data as Uint8Array).length);
      return update.call(this, data);
    } as Hash["update"];
    try {
      const { digest, file } = await taken(layer, known, requestBytes);
      assert.equal(digest, wanted);
      assert.equal(file.length, tar.length);
    } finally {
      hash.update = update;
    }
    assert.ok(most > 0 && most <= 2 ** 20, `${most} bytes at once`);
  }
});

/** The checkpoints of a ztoc, one of them changed. */
function changed(
  { checkpoints }: Ztoc,
  change: (view: DataView, window: Uint8Array) => void,
): Uint8Array {
  const all = checkpoints.slice();
  // Those in the middle of a unit are not used: all are.
  for (let at = 12 + 32_785; at < all.length; at += 32_785) {
    change(
      new DataView(all.buffer, at, 17),
      all.subarray(at + 17, at + 32_785),
    );
  }
  return all;
}

Deno.test("a ztoc that lies of where a layer can be entered is told, or gives another diff ID", async () => {
  const layer = LAYERS["gzip"]!;
  const right = ztocOf(layer);
  const lies: Record<string, Ztoc> = {
    "other windows": {
      ...right,
      checkpoints: changed(right, (_, window) => window.fill(7)),
    },
    "other places in the tar": {
      ...right,
      checkpoints: changed(
        right,
        (view) => view.setUint32(8, view.getUint32(8, true) + 1, true),
      ),
    },
    "other places in the blob": {
      ...right,
      checkpoints: changed(
        right,
        (view) => view.setUint32(0, view.getUint32(0, true) + 1, true),
      ),
    },
    "other bits": {
      ...right,
      checkpoints: changed(
        right,
        (view) => view.setUint8(16, (view.getUint8(16) + 1) % 8),
      ),
    },
    "another tar": {
      ...right,
      uncompressedSize: right.uncompressedSize + 100_000,
    },
  };
  for (const [what, lie] of Object.entries(lies)) {
    let found: string | null = null;
    try {
      found = (await taken(layer, lie)).indexed.diffId;
    } catch (error) {
      assert.ok(
        error instanceof CheckpointsError || error instanceof IndexingError,
        `${what}: ${error}`,
      );
    }
    assert.notEqual(found, sha256(TAR), what);
  }
});

Deno.test("what a source throws is told, and whoever reads behind the units gives up", async () => {
  const layer = LAYERS["gzip"]!;
  const units = await unitsOf(ztocOf(layer));
  const folder = await Deno.realPath(await Deno.makeTempDir());
  const files = { data: `${folder}/tar`, ztoc: `${folder}/ztoc` };
  for (const path of Object.values(files)) Deno.writeTextFileSync(path, "");
  using writers = tarWriters(1, folder);
  try {
    const coming = comingLayer(units, files);
    const inflated = inflateUnits({
      ...{ units, files, folder, workers: 2, look: () => {} },
      fetch: () => Promise.reject(new RangeError("no line")),
      signal: new AbortController().signal,
    }, coming);
    const indexed = writers.indexUnits(coming, {
      ...{ compression: "gzip", spanSizeBytes: SPAN_SIZE, buildTool: "test" },
    });
    await assert.rejects(inflated, new RangeError("no line"));
    assert.equal(await indexed, null);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Workers that break down at each start are started once for a layer, which fails at once", async () => {
  using workers = workersOf(BREAKS_AT_ONCE);
  const layer = LAYERS["gzip"]!;
  await assert.rejects(
    taken(layer, ztocOf(layer)),
    (error) => error instanceof IndexingError && error.reason === "internal",
  );
  assert.equal(workers.starts(), 3); // one that indexes, and two
});

Deno.test("places of a ztoc are those of its checkpoints; a ztoc of a tar has none, and one that is cut off or out of order is refused", async () => {
  const layer = LAYERS["many members"]!;
  const right = ztocOf(layer);
  const ztoc = encodeZtoc(right);
  const places = (await placesOf(ztoc))!;
  const table = spanTable(right);
  assert.equal(places.compressedSize, layer.length);
  assert.equal(places.listBytes, ztoc.length - right.checkpoints.length);
  const last = table.count - 1;
  const at = table.first + last;
  assert.equal(places.outputs[at], table.start(last));
  assert.equal(places.bits[at], table.bits(last));
  const window = places.windows[at]!;
  assert.deepEqual(
    ztoc.subarray(window, window + 32_768),
    table.window(last),
  );
  const builder = new ZtocBuilder({
    ...{ compression: "uncompressed", spanSize: SPAN_SIZE },
  });
  builder.push(TAR.slice());
  assert.equal(await placesOf(encodeZtoc(builder.finish().ztoc)), null);
  for (const end of [0, 3, 40, ztoc.length >> 1]) {
    await assert.rejects(placesOf(ztoc.slice(0, end)), ZtocError);
  }
  const disorder = changed(right, (view) => view.setUint32(8, 9, true));
  await assert.rejects(
    placesOf(encodeZtoc({ ...right, checkpoints: disorder })),
    ZtocError,
  );
});

Deno.test("spans are taken together up to a size; a layer of one unit, or of huge ones, is not worth it", () => {
  const size = 40;
  const places = (outputs: number[], unit = 1) => ({
    ...{ compressedSize: size * unit + 1, uncompressedSize: size * unit },
    listBytes: 700,
    inputs: Float64Array.from(outputs, (_, i) => i + 1),
    outputs: Float64Array.from(outputs, (at) => at * unit),
    bits: new Uint8Array(outputs.length),
    windows: Float64Array.from(outputs, (_, i) => i),
  });
  const planned = planUnits(places([0, 0, 5, 10, 15, 30, 36]), 10)!;
  assert.deepEqual([...planned.outputs], [0, 10, 15, 30]);
  assert.deepEqual([...planned.windows], [1, 3, 4, 5]);
  assert.equal(planned.listBytes, 700);
  assert.equal(planUnits(places([0, 10]), 50), null);
  assert.equal(planUnits(places([0, 10], 2 ** 20), 2 ** 20), null);
  // All before the first one would come into memory with it.
  const late = { ...places([0, 0, 10]), compressedSize: 2 ** 33 };
  assert.ok(planUnits(late, 10) === null, "the last one has too much");
  late.inputs.set([1, 2 ** 33 - 20, 2 ** 33 - 10]);
  assert.equal(planUnits(late, 10), null);
});
