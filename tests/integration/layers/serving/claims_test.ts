/** Who gets which of the layers that are here, and what one layer may have from another. */
import assert from "node:assert/strict";
import { isDigest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeCheckpoints,
  spanTable,
  type Ztoc,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import { LyingZtocError } from "../../../../lib/layers/store/mod.ts";
import type {
  LayerStore,
  OpenLayer,
} from "../../../../lib/layers/serving/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import {
  compressible,
  incompressible,
} from "../../../support/images/random.ts";
import {
  indexed,
  MemorySource,
  type TestLayer,
} from "../../../unit/layers/spans/support.ts";
import { openStore, readWhole, ztocOf } from "../spans/support.ts";

const FILE = incompressible(1_500_000, 7);
const tar = () => new TarBuilder().file("file", FILE);
const LAYER = indexed(tar(), 64 * 1024);
const DIFF_ID = sha256(LAYER.tar);
/** Another ztoc of the same layer, as honest as the first. */
const COARSE = indexed(tar(), 256 * 1024);
const FIRST_BYTES = 4096;

/** What is left of a blob for somebody who knows how it begins, and how long it is. */
function beginningOf({ blob }: TestLayer): Uint8Array {
  const known = new Uint8Array(blob.length);
  known.set(blob.subarray(0, FIRST_BYTES));
  return known;
}

/** A source that counts as a claimant's registry. */
const from = (blob: Uint8Array, host: string) => new MemorySource(blob, host);

function claim(
  store: LayerStore,
  claimant: string,
  source: MemorySource,
  options: {
    readonly ztoc?: Ztoc;
    readonly diffId?: string;
    readonly onZtoc?: () => void;
  } = {},
): Promise<OpenLayer> {
  const bytes = ztocOf({ ztoc: options.ztoc ?? LAYER.ztoc });
  const { diffId = DIFF_ID } = options;
  assert.ok(isDigest(diffId));
  return store.claim({
    identity: { layerDigest: LAYER.digest, ztocDigest: sha256(bytes) },
    diffId,
    claimant,
    makeSource: () => source,
    fetchZtoc: () => {
      options.onZtoc?.();
      return Promise.resolve({ bytes, whole: null });
    },
    signal: AbortSignal.timeout(30_000),
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  assert.ok(condition(), "it did not come true");
}

async function read(layer: OpenLayer): Promise<Uint8Array | string> {
  await layer.shown;
  const result = await readWhole(`${layer.directory}/file`);
  return "bytes" in result ? result.bytes : result.error;
}

Deno.test("who shows that it has the layer shares it, with one request in place of the ztoc's, and is not asked again", async () => {
  await using opened = await openStore({ readWaitMs: 2000 });
  const { store } = opened;
  const first = await claim(store, "first", from(LAYER.blob, "a"));
  await first.fill();
  const source = from(LAYER.blob, "b");
  let ztocs = 0;
  const second = await claim(store, "second", source, {
    onZtoc: () => ztocs++,
  });
  assert.equal(second, first);
  assert.equal(ztocs, 0);
  assert.equal(source.fetches.length, 1);
  store.release(second.slot, { discard: false });
  const again = from(LAYER.blob, "b");
  assert.equal(await claim(store, "second", again), first);
  assert.equal(again.fetches.length, 0);
});

Deno.test("who knows only how a layer begins gets none of it, whether it comes second or first, and holds up nobody", async () => {
  await using opened = await openStore({ readWaitMs: 1000 });
  const { store } = opened;
  const thief = from(beginningOf(LAYER), "thief");
  const begun = await claim(store, "thief", thief);
  // The first span comes and has the right digest: that proves nothing.
  await begun.ensure(0, 100, AbortSignal.timeout(5000)).catch(() => {});
  const honest = await claim(store, "honest", from(LAYER.blob, "honest"));
  assert.notEqual(honest.slot, begun.slot);
  await honest.fill();
  assert.deepEqual(await read(honest), FILE);
  const late = await claim(store, "late thief", from(beginningOf(LAYER), "x"));
  assert.notEqual(late.slot, honest.slot);
  assert.match(String(await read(late)), /Input\/output error/);
  await until(() => honest.proof.provenDiffId === DIFF_ID);
  for (const layer of [begun, late]) {
    assert.ok(layer.map.presentCount <= 1, "nothing came from the honest one");
    assert.match(String(await read(layer)), /Input\/output error/);
  }
});

Deno.test("two ztocs on one layer are two data files, and after proof the second is filled from the first", async () => {
  await using opened = await openStore({ readWaitMs: 2000 });
  const { store } = opened;
  const first = await claim(store, "first", from(LAYER.blob, "a"));
  const source = from(LAYER.blob, "b");
  const second = await claim(store, "second", source, { ztoc: COARSE.ztoc });
  assert.notEqual(first.slot, second.slot);
  await first.fill();
  assert.equal(second.map.presentCount, 0, "nothing is proven yet");
  await until(() => second.reader.complete);
  assert.equal(source.fetches.length, 1, "it has shown the layer, no more");
  assert.deepEqual(await read(second), FILE);
  await until(() => second.proof.provenDiffId === DIFF_ID);
  // A third one comes when proven bytes are here already.
  const third = from(LAYER.blob, "c");
  const { ztoc } = indexed(tar(), 128 * 1024);
  const late = await claim(store, "third", third, { ztoc });
  await until(() => late.reader.complete);
  assert.equal(third.fetches.length, 1);
  assert.deepEqual(await read(late), FILE);
});

Deno.test("nothing is copied to a layer whose registry does not show what is copied", async () => {
  await using opened = await openStore({ readWaitMs: 1000 });
  const { store } = opened;
  // A forged ztoc, of a blob that the thief does have.
  const forged = indexed(
    new TarBuilder().file("file", incompressible(1_500_000, 8)),
    64 * 1024,
  );
  const thief = await claim(store, "thief", from(forged.blob, "thief"), {
    ztoc: forged.ztoc,
  });
  const first = await claim(store, "first", from(LAYER.blob, "a"));
  await first.fill();
  await until(() => first.proof.provenDiffId === DIFF_ID);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(thief.map.presentCount, 0);
});

Deno.test("a lie that is found late condemns its ztoc for those who gave that diff ID, and no other ztoc", async () => {
  await using opened = await openStore({ readWaitMs: 2000 });
  const { store } = opened;
  const lie = sha256(new TextEncoder().encode("another tar"));
  const liar = await claim(store, "liar", from(LAYER.blob, "liar"), {
    diffId: lie,
  });
  await liar.fill();
  await until(() => liar.state === "condemned");
  await assert.rejects(
    claim(store, "liar", from(LAYER.blob, "liar"), { diffId: lie }),
    LyingZtocError,
  );
  const honest = await claim(store, "honest", from(LAYER.blob, "honest"));
  await honest.fill();
  assert.deepEqual(await read(honest), FILE);
  const coarse = await claim(store, "other", from(LAYER.blob, "other"), {
    ztoc: COARSE.ztoc,
  });
  assert.deepEqual(await read(coarse), FILE);
});

/** A ztoc one of whose windows says "lox" where the layer says "fox". */
function withLyingWindow(ztoc: Ztoc, at: number): Ztoc {
  const decoded = decodeCheckpoints(ztoc.checkpoints);
  const checkpoints = decoded.checkpoints.map((checkpoint, i) => {
    if (i !== at) return checkpoint;
    const window = checkpoint.window.map((byte) => byte === 0x66 ? 0x6c : byte);
    return { ...checkpoint, window };
  });
  return {
    ...ztoc,
    checkpoints: encodeCheckpoints({ ...decoded, checkpoints }),
  };
}

Deno.test("a lying window changes bytes of its own span, for those whose index names that ztoc, until the whole tar is hashed", async () => {
  const words = compressible(3_000_000);
  const layer = indexed(new TarBuilder().file("file", words), 256 * 1024);
  const at = 4;
  const lying = withLyingWindow(layer.ztoc, at);
  const spans = spanTable(layer.ztoc);
  await using opened = await openStore({ readWaitMs: 2000 });
  const { store } = opened;
  const open = (claimant: string, ztoc: Ztoc) => {
    const bytes = ztocOf({ ztoc });
    return store.claim({
      identity: { layerDigest: layer.digest, ztocDigest: sha256(bytes) },
      diffId: sha256(layer.tar),
      claimant,
      makeSource: () => from(layer.blob, claimant),
      fetchZtoc: () => Promise.resolve({ bytes, whole: null }),
      signal: AbortSignal.timeout(30_000),
    });
  };
  const liar = await open("liar", lying);
  const honest = await open("honest", layer.ztoc);
  await Promise.all([liar.fill(), honest.fill()]);
  const tarOf = (served: OpenLayer) => {
    const bytes = new Uint8Array(layer.tar.length);
    assert.ok(served.copy(0, bytes.subarray(0, spans.end(spans.count - 1))));
    return bytes;
  };
  assert.deepEqual(tarOf(honest), layer.tar);
  const seen = tarOf(liar);
  const wrong = Array.from(seen.keys()).filter((i) => seen[i] !== layer.tar[i]);
  assert.ok(wrong.length > 0);
  for (const i of wrong) assert.equal(spans.spanAt(i), at);
  await until(() => liar.state === "condemned");
  await until(() => honest.proof.provenDiffId !== null);
  assert.equal(liar.proof.provenDiffId, null);
  assert.deepEqual(tarOf(honest), layer.tar);
  await assert.rejects(open("other", lying), LyingZtocError);
});
