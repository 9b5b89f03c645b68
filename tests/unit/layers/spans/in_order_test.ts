import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type OrderedRange,
  type PrefetchedLayer,
  prefetchInOrder,
  SpanScheduler,
  SpanState,
} from "../../../../lib/layers/spans/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { noiseLayer, serve, type ServedTestLayer } from "./support.ts";

const layer = noiseLayer(40);
const spans = spanTable(layer.ztoc);
const signal = () => AbortSignal.timeout(20_000);

function ahead(
  { reader }: ServedTestLayer,
  roomBytes: () => number = () => Infinity,
): PrefetchedLayer {
  return {
    spans,
    get roomBytes() {
      return roomBytes();
    },
    bytesPerMs: 0,
    isMissing: (span) => reader.stateOf(span) === SpanState.MISSING,
    prefetch: (span, signal) =>
      reader.ensureSpans(span, span, "expected", signal),
  };
}

/** The middle byte of a span. */
const inSpan = (layer: PrefetchedLayer, span: number): OrderedRange => ({
  layer,
  offset: (spans.start(span) + spans.end(span)) >> 1,
  length: 1,
});

/** A layer that only notes what is asked for. */
function notingLayer(compressed: number, room = Infinity) {
  const asked: number[] = [];
  const gates: (() => void)[] = [];
  const here = new Set<number>();
  const noting: PrefetchedLayer = {
    spans: {
      ...spans,
      count: 1000,
      compressedStart: (span) => span * compressed,
      compressedEnd: (span) => (span + 1) * compressed,
      start: (span) => span * 100,
      end: (span) => (span + 1) * 100,
      spanAt: (offset) => Math.floor(offset / 100),
    },
    get roomBytes() {
      return room - 100 * here.size;
    },
    bytesPerMs: 0,
    isMissing: (span) => !asked.includes(span),
    prefetch: (span) => {
      asked.push(span);
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.push(() => {
        here.add(span);
        resolve();
      });
      return promise;
    },
  };
  return { noting, asked, gates };
}

/** So long that everything that can happen without an answer has happened. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("ranges of several layers come in their order, each span once", async () => {
  const scheduler = new SpanScheduler();
  await using one = serve(layer, { scheduler });
  await using other = serve(layer, { scheduler });
  const order: string[] = [];
  one.source.gate = ({ start }) => void order.push(`one ${start}`);
  other.source.gate = ({ start }) => void order.push(`other ${start}`);
  const [a, b] = [ahead(one), ahead(other)];
  const outcome = await prefetchInOrder(
    [inSpan(a, 7), inSpan(b, 30), inSpan(a, 3), inSpan(a, 7), inSpan(b, 2)],
    { signal: signal() },
  );
  assert.deepEqual(
    order.toSorted(),
    [
      `one ${spans.compressedStart(3)}`,
      `one ${spans.compressedStart(7)}`,
      `other ${spans.compressedStart(2)}`,
      `other ${spans.compressedStart(30)}`,
    ].toSorted(),
  );
  assert.ok(
    order.indexOf(`one ${spans.compressedStart(7)}`) <
      order.indexOf(`one ${spans.compressedStart(3)}`),
  );
  assert.equal(outcome.end, "all");
  assert.equal(outcome.spans, 4);
  for (const span of [3, 7]) {
    assert.equal(one.reader.stateOf(span), SpanState.PRESENT);
  }
});

Deno.test("a quarter of a second of the line is asked for ahead, not the whole order", async () => {
  const { noting, asked, gates } = notingLayer(2 ** 20);
  const done = prefetchInOrder(
    [{ layer: noting, offset: 0, length: 1000 }],
    { signal: signal() },
  );
  await settle();
  assert.deepEqual(asked, [0, 1]);
  gates.shift()!();
  await settle();
  assert.deepEqual(asked, [0, 1, 2]);
  while (gates.length > 0) {
    gates.shift()!();
    await settle();
  }
  assert.equal((await done).spans, 10);
});

Deno.test("it ends where the cache is full, and at its own limit", async () => {
  const full = notingLayer(10, 250);
  const range = { offset: 0, length: 1000 };
  const noRoom = prefetchInOrder([{ layer: full.noting, ...range }], {
    signal: signal(),
  });
  await settle();
  for (const gate of full.gates) gate();
  assert.equal((await noRoom).end, "no room");
  assert.deepEqual(full.asked, [0, 1]);
  const long = notingLayer(10);
  const limited = prefetchInOrder([{ layer: long.noting, ...range }], {
    signal: signal(),
    maxBytes: 35,
  });
  await settle();
  for (const gate of long.gates) gate();
  assert.deepEqual(await limited, {
    fetchedBytes: 30,
    spans: 3,
    end: "limit",
  });
});

Deno.test("a source that fails ends it after a few spans, and an abort at once", async () => {
  await using served = serve(layer);
  served.source.gate = () => {
    throw new Error("gone");
  };
  const all = [{
    layer: ahead(served),
    offset: 0,
    length: layer.tar.length,
  }];
  const outcome = await prefetchInOrder(all, { signal: signal() });
  assert.equal(outcome.fetchedBytes, 0);
  const stop = new AbortController();
  served.source.gate = ({ signal }) =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  const aborted = prefetchInOrder(all, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
});

Deno.test("whatever ranges are listed, exactly the spans that hold them come", async () => {
  const range = fc.record({
    offset: fc.integer({ min: -1000, max: layer.tar.length + 1000 }),
    length: fc.integer({ min: -10, max: 200_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(range, { maxLength: 6 }), async (ranges) => {
      await using served = serve(layer);
      await prefetchInOrder(
        ranges.map((range) => ({ ...range, layer: ahead(served) })),
        { signal: signal() },
      );
      for (let span = 0; span < spans.count; span++) {
        const holds = ranges.some(({ offset, length }) =>
          Math.max(offset, spans.start(span)) <
            Math.min(offset + length, spans.end(span))
        );
        assert.equal(
          served.reader.stateOf(span) === SpanState.PRESENT,
          holds,
          `span ${span}`,
        );
      }
    }),
    { numRuns: 15 },
  );
});
