import fc from "fast-check";
import assert from "node:assert/strict";
import { RangeTable } from "../../../../lib/layers/presence/mod.ts";
import { PRESENT } from "../../../../lib/layers/presence/mod.ts";
import { SpanCache, SpanState } from "../../../../lib/layers/spans/mod.ts";
import { cutRanges } from "../../../../lib/layers/spans/range_table.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import {
  noiseLayer,
  readTar,
  serve,
  type ServedTestLayer,
  type TestLayer,
} from "./support.ts";

const never = () => AbortSignal.timeout(20_000);

/** Expects ranges of a served layer; every byte of a range counts as a byte of the pack. */
function expectRanges(
  { reader }: ServedTestLayer,
  ranges: readonly (readonly [offset: number, length: number])[],
  received = () => 0,
): RangeTable {
  let packEnd = 0;
  const cut = reader.ranges.cut(ranges.map(([offset, length]) => ({
    offset,
    length,
    packEnd: packEnd += length,
  })));
  const table = RangeTable.allocate(cut.starts.length);
  reader.ranges.expect(cut, table, received);
  return table;
}

const piece = ({ tar }: TestLayer, offset: number, length: number) =>
  new Uint8Array(tar.subarray(offset, offset + length));

Deno.test("a range table holds a byte exactly when a range that is here does", () => {
  const SIZE = 60;
  const range = fc.tuple(
    fc.integer({ min: 0, max: SIZE + 5 }),
    fc.integer({ min: 1, max: 12 }),
    fc.boolean(),
  );
  const ends = fc.uniqueArray(fc.integer({ min: 1, max: SIZE - 1 }));
  fc.assert(fc.property(fc.array(range), ends, (ranges, borders) => {
    const ends = [...borders.toSorted((a, b) => a - b), SIZE];
    const spans = {
      count: ends.length,
      end: (span: number) => ends[span]!,
      spanAt: (at: number) => ends.findIndex((end) => end > at),
    };
    const cut = cutRanges(
      ranges.map(([offset, length]) => ({ offset, length, packEnd: 0 })),
      spans,
      (span) => span % 3 !== 2,
    );
    const table = RangeTable.allocate(cut.starts.length);
    table.columns.starts.set(cut.starts);
    table.columns.ends.set(cut.ends);
    const held = new Array<boolean>(SIZE).fill(false);
    const wanted = new Array<boolean>(SIZE).fill(false);
    for (const [offset, length] of ranges) {
      for (let at = offset; at < Math.min(offset + length, SIZE); at++) {
        wanted[at] = spans.spanAt(at) % 3 !== 2;
      }
    }
    cut.starts.forEach((start, i) => {
      const end = cut.ends[i]!;
      assert.ok(start < end && end <= spans.end(spans.spanAt(start)));
      assert.ok(i === 0 || cut.ends[i - 1]! <= start);
      const isHere = (start * 7) % 5 < 3;
      if (isHere) table.columns.states[i] = PRESENT;
      for (let at = start; at < end; at++) {
        assert.ok(wanted[at], `${at}`);
        wanted[at] = false;
        held[at] = isHere;
      }
    });
    assert.ok(!wanted.includes(true), "every wanted byte is in one range");
    for (let from = 0; from < SIZE; from++) {
      for (let to = from + 1; to <= SIZE; to++) {
        assert.equal(
          table.covers(0, cut.starts.length, from, to),
          held.slice(from, to).every(Boolean),
        );
      }
    }
  }));
});

Deno.test("a reader gets a pack's bytes the moment they are here, and its span is not asked for", async () => {
  const layer = noiseLayer(8);
  await using served = serve(layer);
  expectRanges(served, [[70_000, 9000], [3000, 5000]]);
  const early = served.reader.ensure(72_000, 4096, "demand", never());
  served.reader.ranges.accept(3000, piece(layer, 3000, 5000));
  const state = await Promise.race([
    early.then(() => "answered"),
    served.reader.ensure(3500, 100, "demand", never()).then(() => "other"),
  ]);
  assert.equal(state, "other");
  served.reader.ranges.accept(70_000, piece(layer, 70_000, 9000));
  await early;
  const into = new Uint8Array(4096);
  assert.ok(served.reader.copy(72_000, into));
  assert.deepEqual(into, piece(layer, 72_000, 4096));
  assert.equal(served.source.fetches.length, 0);
  assert.equal(served.reader.ranges.figures.lateReads, 1);
  assert.equal(served.reader.ranges.figures.lateBytes, 4096);
  assert.equal(served.reader.ranges.figures.arrivedBytes, 14_000);
});

Deno.test("what a pack brought proves nothing: it is no span, and no other layer is given it", async () => {
  const layer = noiseLayer(4);
  await using served = serve(layer);
  expectRanges(served, [[0, 1000]]);
  served.reader.ranges.accept(0, piece(layer, 0, 1000));
  const into = new Uint8Array(500);
  assert.ok(served.reader.copy(0, into));
  assert.equal(served.reader.copyChecked(0, into), false);
  assert.equal(served.map.has(0), false);
  assert.equal(served.reader.stateOf(0), SpanState.MISSING);
});

Deno.test("a read of which the pack brings a part alone, or nothing more, has its span fetched", async () => {
  const layer = noiseLayer(8);
  await using served = serve(layer);
  expectRanges(served, [[1000, 1000], [200_000, 1000]]);
  assert.deepEqual(
    await readTar(served, 1500, 1000),
    piece(layer, 1500, 1000),
  );
  assert.equal(served.source.fetches.length, 1);
  const waiting = readTar(served, 200_000, 500);
  served.reader.ranges.endOfPack();
  assert.deepEqual(await waiting, piece(layer, 200_000, 500));
  assert.equal(served.source.fetches.length, 2);
});

Deno.test("a reader whose bytes are far behind in the pack has its span fetched, and takes what is here first", async () => {
  const layer = noiseLayer(8);
  await using served = serve(layer);
  served.source.gate = async () => await new Promise(() => {});
  let received = 0;
  const far = 64 * 2 ** 20;
  const cut = served.reader.ranges.cut([
    { offset: 1000, length: 1000, packEnd: far },
  ]);
  served.reader.ranges.expect(cut, RangeTable.allocate(1), () => received);
  const read = served.reader.ensure(1200, 100, "demand", never());
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.equal(served.source.fetches.length, 1, "the span was asked for");
  received = far;
  served.reader.ranges.accept(1000, piece(layer, 1000, 1000));
  await read;
});

Deno.test("a span that comes is compared with what came ahead of it: equal bytes are forgotten, others are told", async () => {
  const layer = noiseLayer(8);
  const lies: number[] = [];
  await using served = serve(layer, {
    more: { onPackLie: (_, offset) => lies.push(offset) },
  });
  const table = expectRanges(served, [[1000, 1000], [2500, 500], [
    200_000,
    70_000,
  ]]);
  const { ranges } = served.reader;
  ranges.accept(1000, piece(layer, 1000, 1000));
  const evil = piece(layer, 2500, 500);
  evil[499]! ^= 1;
  ranges.accept(2500, evil);
  ranges.accept(200_000, piece(layer, 200_000, 70_000));
  const into = new Uint8Array(500);
  assert.ok(served.reader.copy(2500, into));
  assert.deepEqual(into, evil, "until the span is here");
  await served.reader.ensureSpans(0, 0, "background", never());
  assert.deepEqual(lies, [2500]);
  assert.deepEqual(await readTar(served, 1000, 2000), piece(layer, 1000, 2000));
  await served.reader.fill(never());
  assert.deepEqual(lies, [2500]);
  assert.ok(table.columns.states.every((state) => state !== PRESENT));
  // Late bytes of the pack change nothing.
  assert.equal(ranges.accept(2500, evil), 0);
  assert.deepEqual(await readTar(served, 0, layer.tar.length), layer.tar);
});

Deno.test("bytes of a pack go with their span, count for the budget, and are not shown any more once dropped", async () => {
  const layer = noiseLayer(8);
  let gone = 0;
  const spans = spanTable(layer.ztoc);
  const cache = new SpanCache();
  const cached = {
    spans,
    get map() {
      return served.map;
    },
    get reader() {
      return served.reader;
    },
    uses: new Uint8Array(spans.count),
    rangeBytes: (span: number) => served.reader.ranges.bytesOf(span),
  };
  await using served = serve(layer, {
    more: {
      onRange: (span) => cache.present(cached, span),
      onPresent: (span) => cache.present(cached, span),
      onGone: () => {
        gone++;
        cache.gone(cached);
        return Promise.resolve();
      },
    },
  });
  cache.add(cached);
  expectRanges(served, [[1000, 1000], [70_000, 4000], [200_000, 3000]]);
  const { ranges } = served.reader;
  ranges.accept(1000, piece(layer, 1000, 1000));
  ranges.accept(70_000, piece(layer, 70_000, 4000));
  ranges.accept(200_000, piece(layer, 200_000, 3000));
  assert.equal(cache.bytes, 8000);
  await served.reader.evict([spans.spanAt(1000)]);
  assert.equal(cache.bytes, 7000);
  assert.equal(gone, 1);
  assert.equal(served.reader.copy(1000, new Uint8Array(10)), false);
  const whole = spans.spanAt(70_000);
  await served.reader.ensureSpans(whole, whole, "background", never());
  assert.equal(cache.bytes, spans.end(whole) - spans.start(whole) + 3000);
  await served.reader.dropRanges();
  assert.equal(cache.bytes, spans.end(whole) - spans.start(whole));
  assert.equal(served.reader.copy(200_000, new Uint8Array(10)), false);
  assert.deepEqual(
    await readTar(served, 200_000, 10),
    piece(layer, 200_000, 10),
  );
  cache[Symbol.dispose]();
});

Deno.test("whatever comes in whatever order, readers get the layer's bytes and marks say what is here", async () => {
  const layer = noiseLayer(6);
  const spans = spanTable(layer.ztoc);
  const step = fc.record({
    what: fc.constantFrom("accept", "fetch", "evict", "read"),
    at: fc.nat({ max: layer.tar.length - 1 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      let lies = 0;
      await using served = serve(layer, {
        more: { onPackLie: () => lies++ },
      });
      const given = Array.from(
        { length: 40 },
        (_, i) => [i * 9000, 4000] as const,
      )
        .filter(([offset, length]) => offset + length <= layer.tar.length);
      expectRanges(served, given);
      for (const { what, at } of steps) {
        const span = spans.spanAt(at);
        if (what === "accept") {
          const [offset, length] = given[at % given.length]!;
          served.reader.ranges.accept(offset, piece(layer, offset, length));
        } else if (what === "fetch") {
          await served.reader.ensureSpans(span, span, "demand", never());
        } else if (what === "evict") await served.reader.evict([span]);
        const length = Math.min(6000, layer.tar.length - at);
        const into = new Uint8Array(length);
        if (served.reader.copy(at, into)) {
          assert.deepEqual(into, piece(layer, at, length));
        }
      }
      served.reader.ranges.endOfPack();
      assert.deepEqual(await readTar(served, 0, layer.tar.length), layer.tar);
      assert.equal(lies, 0);
    }),
    { numRuns: 15 },
  );
});
