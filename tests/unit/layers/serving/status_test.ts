import assert from "node:assert/strict";
import {
  type LayerStore,
  storeStatus,
} from "../../../../lib/layers/serving/mod.ts";

/** A layer as the status sees it: every third span is here. */
function layerOf(slot: number, count: number) {
  return {
    ...{ slot, layerDigest: `layer-${slot}`, directory: `/layers/${slot}` },
    ...{
      isServed: true,
      late: { state: "here" },
      compressedSize: 4 * count + 1,
      inodes: 3,
    },
    spans: {
      count,
      start: (span: number) => span * 10,
      end: (span: number) => span * 10 + 10,
      compressedStart: (span: number) => span * 4,
      compressedEnd: (span: number) => span * 4 + 5, // neighbours share a byte
    },
    map: { has: (span: number) => span % 3 === 0 },
    reader: {
      unreadAheadBytes: 5,
      activity: { readers: 1, fetchingBytes: 2, readBytes: 3 },
    },
    pack: {
      use: { arrivedBytes: 7, readBytes: 9, lateReads: 1 },
      lied: AbortSignal.abort(),
    },
  };
}

type Asked = Parameters<typeof storeStatus>[0];

function storeOf(layers: readonly ReturnType<typeof layerOf>[]): Asked {
  return {
    all: () => [...layers] as unknown as ReturnType<LayerStore["all"]>,
    face: { face: "fuse", reason: "asked for" } as unknown as Asked["face"],
    hostFigures: () => [],
    cacheFigures: () => ({}) as ReturnType<LayerStore["cacheFigures"]>,
    fetched: {} as LayerStore["fetched"],
  };
}

Deno.test("the status of layers of a million spans is taken in steps, between which others have their turn", async () => {
  const layers = Array.from(
    { length: 10 },
    (_, at) => layerOf(10 - at, 100_000),
  );
  let turns = 0;
  const status = await storeStatus(storeOf(layers), () => {
    turns++;
    return Promise.resolve();
  });
  assert.equal(turns, 9);
  assert.deepEqual(
    status.layers.map(({ slot }) => slot),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
  assert.equal(status.layers[0]!.cachedSpans, 33_334);
  assert.equal(status.layers[0]!.cachedBytes, 333_340);
  assert.equal(status.layers[0]!.fetchedBytes, 33_334 * 5);
  const { readers, fetchingBytes, readBytes } = status.layers[0]!;
  assert.deepEqual([readers, fetchingBytes, readBytes], [1, 2, 3]);
  assert.equal(status.fetched.unreadAheadBytes, 50);
  assert.deepEqual(status.packs, {
    ...{ arrivedBytes: 70, readBytes: 70, lateReads: 10, lied: 10 },
  });
});

Deno.test("the status of a few layers is taken at once, and one that closes meanwhile is left out", async () => {
  const few = Array.from({ length: 100 }, (_, at) => layerOf(at + 1, 50));
  const none = () => Promise.reject(new Error("no turn is needed"));
  assert.equal((await storeStatus(storeOf(few), none)).layers.length, 100);
  const closing = [layerOf(1, 70_000), layerOf(2, 10)];
  const { layers } = await storeStatus(storeOf(closing), () => {
    closing[1]!.isServed = false;
    return Promise.resolve();
  });
  assert.deepEqual(layers.map(({ slot }) => slot), [1]);
});
