/** Bytes that a start pack brings: who sees them, until when, and what becomes of them. */
import assert from "node:assert/strict";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import type {
  LayerStore,
  OpenLayer,
} from "../../../../lib/layers/serving/mod.ts";
import { statIfThere } from "../../../../lib/host/files/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import { indexed, MemorySource } from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole, ztocOf } from "../spans/support.ts";

const FILE = incompressible(600_000, 9);
const LAYER = indexed(new TarBuilder().file("file", FILE), 64 * 1024);
const ZTOC = ztocOf(LAYER);
const IDENTITY = { layerDigest: LAYER.digest, ztocDigest: sha256(ZTOC) };
const DIFF_ID = sha256(LAYER.tar);
const SPANS = spanTable(LAYER.ztoc);
const PACK = sha256(new Uint8Array([1]));
/** Where the file's bytes are in the tar. */
const DATA = 512;

/** A source that gives nothing before it is let. */
function heldSource(): { source: MemorySource; let: () => void } {
  const gate = Promise.withResolvers<void>();
  const source = new MemorySource(LAYER.blob, "registry");
  source.gate = () => gate.promise;
  return { source, let: () => gate.resolve() };
}

function claim(
  store: LayerStore,
  source: MemorySource,
  pack?: Digest,
  claimant = "image",
): Promise<OpenLayer> {
  return store.claim({
    identity: IDENTITY,
    diffId: DIFF_ID,
    claimant,
    ...(pack !== undefined && { pack }),
    makeSource: () => source,
    fetchZtoc: () => Promise.resolve({ bytes: ZTOC.slice(), whole: null }),
    signal: AbortSignal.timeout(30_000),
  });
}

/** Expects these ranges, as the first bytes of a pack. */
function expectRanges(
  { pack }: OpenLayer,
  ...ranges: readonly (readonly [offset: number, length: number])[]
): number {
  return pack.expect(
    ranges.map(([offset, length]) => ({ offset, length, packEnd: 1 })),
    () => 0,
  );
}

const right = (offset: number, length: number) =>
  new Uint8Array(LAYER.tar.subarray(offset, offset + length));
const wrong = (offset: number, length: number) =>
  right(offset, length).map((byte) => byte ^ 0xff);

async function readFile(layer: OpenLayer): Promise<Uint8Array> {
  await layer.shown;
  const result = await readWhole(`${layer.directory}/file`);
  if ("bytes" in result) return result.bytes;
  throw new Error(result.error);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.ok(condition(), "it did not come true");
}

/** How far the kernel reads ahead in a layer's EROFS mount, KiB. */
async function readAheadKb(folder: string, { slot }: OpenLayer) {
  const kept = `${folder}/root/layers/${slot}/read-ahead-device`;
  await until(() => statIfThere(kept) !== null);
  const device = Deno.readTextFileSync(kept);
  return Number(
    Deno.readTextFileSync(`/sys/class/bdi/${device}/read_ahead_kb`),
  );
}

for (const face of ["fuse", "erofs"] as const) {
  Deno.test(`a container reads what a pack brought while the registry gives nothing (${face})`, async () => {
    await using opened = await openStore({ face });
    const { source } = heldSource();
    const layer = await claim(opened.store, source, PACK);
    await layer.shown;
    const ranges: [number, number][] = [];
    for (let at = 0; at < LAYER.tar.length; at += 100_000) {
      ranges.push([at, Math.min(100_000, LAYER.tar.length - at)]);
    }
    assert.equal(expectRanges(layer, ...ranges), LAYER.tar.length);
    const reading = readFile(layer); // before anything is here
    for (const range of ranges) layer.pack.accept(range[0], right(...range));
    assert.deepEqual(await reading, FILE);
    assert.equal(source.fetches.length, 0);
    const { arrivedBytes, readBytes } = layer.pack.use;
    assert.equal(arrivedBytes, LAYER.tar.length);
    assert.ok(readBytes >= FILE.length);
    if (face === "fuse") return; // the mount is all layers'
    assert.equal(await readAheadKb(opened.folder, layer), 32);
    layer.pack.withdraw(new Error("it lied elsewhere"));
    await until(() => !layer.copy(0, new Uint8Array(1)));
    assert.equal(await readAheadKb(opened.folder, layer), 128);
  });

  Deno.test(`a pack that lied is told from a span that comes, is shown to nobody after that, and not used again (${face})`, async () => {
    await using opened = await openStore({ face });
    const { store } = opened;
    const { source, let: letGo } = heldSource();
    const evil = await claim(store, source, PACK);
    await evil.shown;
    expectRanges(evil, [0, LAYER.tar.length]);
    evil.pack.accept(0, wrong(0, LAYER.tar.length));
    evil.pack.end();
    const seen = await readFile(evil);
    assert.equal(seen.length, FILE.length);
    assert.notDeepEqual(seen, FILE, "nobody can know before the span is here");
    // An image with the same layer and ztoc, and without the pack.
    const honest = await claim(
      store,
      new MemorySource(LAYER.blob, "registry"),
    );
    assert.notEqual(honest.slot, evil.slot);
    assert.deepEqual(await readFile(honest), FILE);
    letGo();
    await evil.reader.ensureSpans(
      0,
      0,
      "background",
      AbortSignal.timeout(9000),
    );
    assert.ok(evil.pack.lied.aborted);
    assert.notEqual(store.packs.condemned(PACK, [IDENTITY]), null);
    assert.equal(
      store.packs.condemned(PACK, [{ ...IDENTITY, ztocDigest: "other" }]),
      null,
    );
    // What is opened from now on shows the layer.
    let now = new Uint8Array(0);
    for (let i = 0; i < 100 && now.join() !== FILE.join(); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = new Uint8Array(await readFile(evil));
    }
    assert.deepEqual(now, FILE);
    assert.equal(
      evil.pack.expect([{ offset: 0, length: 9, packEnd: 0 }], () => 0),
      0,
    );
  });
}

Deno.test("spans come from the layer that others have by the same ztoc, and none of a pack's bytes goes there", async () => {
  await using opened = await openStore({});
  const { store } = opened;
  const common = await claim(store, new MemorySource(LAYER.blob, "registry"));
  await common.reader.ensureSpans(0, 2, "demand", AbortSignal.timeout(9000));
  const own = new MemorySource(LAYER.blob, "registry");
  const packed = await claim(store, own, PACK);
  assert.notEqual(packed.slot, common.slot);
  expectRanges(packed, [SPANS.start(4), 2000]);
  packed.pack.accept(SPANS.start(4), wrong(SPANS.start(4), 2000));
  // It may borrow once its registry has shown the layer.
  await until(() => own.fetches.length > 0);
  const before = own.fetches.length;
  await until(() => {
    packed.reader.ensureSpans(1, 1, "demand", AbortSignal.timeout(9000))
      .catch(() => {});
    return packed.map.has(1);
  });
  const into = new Uint8Array(5000);
  assert.ok(packed.copy(SPANS.start(1), into));
  assert.deepEqual(into, right(SPANS.start(1), 5000));
  assert.ok(own.fetches.length <= before + 1);
  assert.equal(common.copy(SPANS.start(4), new Uint8Array(10)), false);
  await common.fill();
  const tar = new Uint8Array(SPANS.end(SPANS.count - 1));
  assert.ok(common.copy(0, tar));
  assert.deepEqual(tar, right(0, tar.length));
});

Deno.test("a pack's bytes are forgotten when the daemon ends, and its layer is served again from its spans", async () => {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-packs-" });
  let slot: number;
  {
    await using opened = await openStore({ folder });
    const layer = await claim(opened.store, heldSource().source, PACK);
    await layer.shown;
    expectRanges(layer, [DATA, 9000]);
    layer.pack.accept(DATA, wrong(DATA, 9000));
    assert.ok(layer.copy(DATA, new Uint8Array(10)));
    slot = layer.slot;
    opened.store.release(slot, { discard: false });
  }
  {
    await using opened = await openStore({ folder });
    await servedAgain(opened.store, slot);
  }
  Deno.removeSync(folder, { recursive: true });
});

async function servedAgain(store: LayerStore, slot: number): Promise<void> {
  const source = new MemorySource(LAYER.blob, "registry");
  const restored = await store.restore(LAYER.digest, () => source, {
    slot,
    claimant: "image",
  });
  assert.equal(restored?.slot, slot);
  assert.equal(restored.pack.digest, PACK);
  assert.equal(restored.copy(DATA, new Uint8Array(10)), false);
  assert.deepEqual(await readFile(restored), FILE);
  // Without a number, a layer that may have held a pack's bytes is not what is meant.
  assert.equal(await store.restore(LAYER.digest, () => source), null);
}
