import assert from "node:assert/strict";
import {
  InflatePool,
  type LayerReader,
  SpanError,
  SpanScheduler,
  SpanState,
} from "../../../../lib/layers/spans/mod.ts";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { noiseLayer, readTar, serve, type TestLayer } from "./support.ts";

const soon = () => AbortSignal.timeout(20_000);
const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

function demand(reader: LayerReader, first: number, last = first) {
  const wanted = reader.ensureSpans(first, last, "demand", soon());
  wanted.catch(() => {}); // looked at by whoever awaits it
  return wanted;
}

/** First and last span of each range that was asked for. */
function rangesOf(
  layer: TestLayer,
  fetches: readonly { start: number; end: number }[],
): [number, number][] {
  const spans = spanTable(layer.ztoc);
  return fetches.map(({ start, end }) => {
    let first = 0;
    while (spans.compressedEnd(first) <= start + 1) first++;
    let last = first;
    while (spans.compressedEnd(last) < end) last++;
    return [first, last];
  });
}

Deno.test("readers of one turn share a range request for neighbours and have one each else", async () => {
  const layer = noiseLayer(20);
  await using served = serve(layer, { workers: 2 });
  const { reader, source } = served;
  await Promise.all([
    demand(reader, 6),
    demand(reader, 5),
    demand(reader, 5),
    demand(reader, 10),
    demand(reader, 4),
  ]);
  assert.deepEqual(rangesOf(layer, source.fetches), [[4, 6], [10, 10]]);
});

Deno.test("neighbours asked for while every request is busy go out together later", async () => {
  const layer = noiseLayer(60);
  await using served = serve(layer, { workers: 2 });
  const { reader, source } = served;
  const gate = Promise.withResolvers<void>();
  source.gate = () => gate.promise;
  const waits = [];
  for (let span = 0; span < 32; span += 4) waits.push(demand(reader, span));
  await pause(5);
  const busy = source.fetches.length;
  assert.equal(busy, 8);
  for (const span of [40, 42, 41]) {
    waits.push(demand(reader, span));
    await pause(1);
  }
  assert.equal(source.fetches.length, busy);
  gate.resolve();
  await Promise.all(waits);
  assert.deepEqual(rangesOf(layer, source.fetches.slice(busy)), [[40, 42]]);
});

Deno.test("no more is on its way than may lie in memory, but for a single span", async () => {
  const layer = noiseLayer(40);
  const spans = spanTable(layer.ztoc);
  const size = spans.compressedEnd(4) - spans.compressedStart(4);
  for (const [maxHeldBytes, together] of [[3.5 * size, 3], [10, 1]] as const) {
    const scheduler = new SpanScheduler({ maxHeldBytes });
    await using served = serve(layer, { workers: 2, scheduler });
    const { reader, source } = served;
    let coming = 0;
    let most = 0;
    source.gate = async () => {
      most = Math.max(most, ++coming);
      await pause(10);
      coming--;
    };
    const waits = [0, 4, 8, 12, 16, 20, 24, 28].map((span) =>
      demand(reader, span)
    );
    await Promise.all([...waits, demand(reader, 30, 35)]);
    assert.equal(most, together);
    const longest = Math.max(
      ...source.fetches.map(({ start, end }) => end - start),
    );
    assert.ok(longest <= together * size * 1.1, `${longest} bytes at once`);
  }
});

Deno.test("a reader is served when its span has come, not when the whole range has", async () => {
  const layer = noiseLayer(20);
  await using served = serve(layer);
  const { reader, source } = served;
  const rest = Promise.withResolvers<void>();
  source.pieceBytes = 16 * 1024;
  source.pace = (filled) => filled > 200_000 ? rest.promise : undefined;
  const last = demand(reader, 9);
  const first = demand(reader, 2, 8);
  const early = demand(reader, 2);
  await early;
  assert.equal(source.fetches.length, 1);
  rest.resolve();
  await Promise.all([first, last]);
});

Deno.test("one span with wrong bytes fails its own readers only", async () => {
  const layer = noiseLayer(12);
  const blob = layer.blob.slice();
  const spans = spanTable(layer.ztoc);
  blob[spans.compressedStart(3) + 100]! ^= 1;
  await using served = serve({ ...layer, blob }, { workers: 2 });
  const { reader } = served;
  const results = await Promise.allSettled(
    [1, 2, 3, 4, 5].map((span) => demand(reader, span)),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected", "fulfilled", "fulfilled"],
  );
  const [failure] = results.filter((result) => result.status === "rejected");
  assert.ok(failure?.reason instanceof SpanError);
  assert.equal(failure.reason.kind, "digest");
  assert.equal(failure.reason.span, 3);
});

Deno.test("readers that left before their span was asked for cost no request", async () => {
  const layer = noiseLayer(60);
  await using served = serve(layer);
  const { reader, source } = served;
  const gate = Promise.withResolvers<void>();
  source.gate = () => gate.promise;
  const busy = [];
  for (let span = 0; span < 32; span += 4) busy.push(demand(reader, span));
  await pause(5);
  const reader2 = new AbortController();
  const left = reader.ensureSpans(50, 50, "demand", reader2.signal);
  await pause(1);
  reader2.abort(new Error("killed"));
  await assert.rejects(left, /killed/);
  gate.resolve();
  await Promise.all(busy);
  assert.ok(!rangesOf(layer, source.fetches).some(([first]) => first === 50));
  source.gate = () => {};
  await demand(reader, 50); // and may come back
});

Deno.test("a sequential reader finds spans there before it asks, a random one gets none in advance", async () => {
  const layer = noiseLayer(64);
  const spans = spanTable(layer.ztoc);
  {
    await using served = serve(layer, { workers: 2 });
    const { reader } = served;
    let waited = 0;
    for (let span = 0; span < spans.count; span++) {
      const start = spans.start(span);
      if (reader.stateOf(span) === SpanState.MISSING) waited++;
      await readTar(served, start, spans.end(span) - start);
      await pause(1);
    }
    assert.ok(waited <= 3, `${waited} of ${spans.count} spans`);
  }
  {
    await using served = serve(layer, { workers: 2 });
    const { source, map } = served;
    const order = [3, 50, 20, 9, 40, 30, 12, 13, 14, 15, 16];
    for (const span of order) {
      await readTar(served, spans.start(span), 100);
      await pause(1);
    }
    assert.equal(source.fetches.length, order.length);
    assert.equal(map.presentCount, order.length);
  }
});

Deno.test("the background gives way to a reader at once, and what had come is not fetched twice", async () => {
  const layer = noiseLayer(40);
  const spans = spanTable(layer.ztoc);
  await using served = serve(layer, { workers: 2 });
  const { reader, source } = served;
  source.pieceBytes = 8 * 1024;
  source.pace = () => pause(2);
  const stop = new AbortController();
  const filled = reader.fill(stop.signal);
  await pause(60);
  const [first] = source.fetches;
  assert.ok(first !== undefined);
  await demand(reader, spans.count - 1);
  assert.ok(first.signal.aborted, "the background request was given up");
  source.pace = () => {};
  await filled;
  assert.equal(served.map.presentCount, spans.count);
  const fetched = source.fetches.map(({ start, end, signal }) => ({
    start,
    end,
    given: signal.aborted,
  }));
  const whole = fetched.filter(({ given }) => !given);
  const bytes = whole.reduce((sum, { start, end }) => sum + end - start, 0);
  assert.ok(
    bytes < layer.blob.length,
    "the beginning of the given up request was kept",
  );
});

Deno.test("the background waits while it is paused, and fetches no faster than it may", async () => {
  const layer = noiseLayer(30);
  const scheduler = new SpanScheduler({ backgroundBytesPerSecond: 4_000_000 });
  await using served = serve(layer, { workers: 2, scheduler });
  const { reader, source } = served;
  scheduler.pauseBackground();
  const started = performance.now();
  const filled = reader.fill(soon());
  await pause(100);
  assert.equal(source.fetches.length, 0);
  await demand(reader, 3); // readers do not wait with it
  scheduler.resumeBackground();
  await filled;
  const seconds = (performance.now() - started) / 1000;
  assert.ok(
    layer.blob.length / seconds < 6_500_000, // the first request is free
    `${layer.blob.length} bytes in ${seconds} s`,
  );
  scheduler[Symbol.dispose]();
});

Deno.test("with a period the background fetches one span in that time, readers do not wait for it", async () => {
  const layer = noiseLayer(8);
  using scheduler = new SpanScheduler({ backgroundPeriodMs: 40 });
  await using served = serve(layer, { workers: 2, scheduler });
  const { reader, source } = served;
  const count = spanTable(layer.ztoc).count;
  const started = performance.now();
  const filled = reader.fill(soon());
  await demand(reader, count - 1);
  await filled;
  const ranges = rangesOf(layer, source.fetches);
  assert.ok(ranges.every(([first, last]) => first === last));
  // One was a reader's, and the first waits for nothing.
  assert.ok(performance.now() - started >= 40 * (count - 2));
});

Deno.test("a span with a wrong digest is fetched again as often as it may be", async () => {
  const layer = noiseLayer(3);
  for (const digestRetries of [0, 2]) {
    await using served = serve(layer, { more: { digestRetries } });
    served.source.blob[spanTable(layer.ztoc).compressedStart(1) + 20]! ^= 1;
    await assert.rejects(demand(served.reader, 1), /digest/);
    served.source.blob[spanTable(layer.ztoc).compressedStart(1) + 20]! ^= 1;
    assert.equal(served.source.fetches.length, digestRetries + 1);
  }
});

Deno.test("filling ends at once when its layer goes, and fills other layers on", async () => {
  const layer = noiseLayer(40);
  using pool = new InflatePool({ size: 2 });
  const scheduler = new SpanScheduler();
  const going = serve(layer, { scheduler, pool });
  const other = noiseLayer(20);
  await using staying = serve(other, { scheduler, pool });
  going.source.pieceBytes = 16 * 1024;
  going.source.pace = () => pause(5);
  const stop = new AbortController();
  const first = going.reader.fill(stop.signal);
  const second = staying.reader.fill(soon());
  await pause(40);
  stop.abort(new Error("gone"));
  await assert.rejects(first);
  await going[Symbol.asyncDispose]();
  const asked = going.source.fetches.length;
  await second;
  assert.equal(staying.map.presentCount, spanTable(other.ztoc).count);
  assert.equal(going.source.fetches.length, asked);
});

Deno.test("a broken range fails the spans that had not come, and a later read asks again", async () => {
  const layer = noiseLayer(12);
  await using served = serve(layer);
  const { reader, source } = served;
  source.pieceBytes = 16 * 1024;
  source.pace = (filled) => {
    if (filled > 150_000) throw new Error("connection lost");
  };
  const results = await Promise.allSettled(
    [0, 1, 2, 3, 4, 5].map((span) => demand(reader, span)),
  );
  assert.equal(results[0]?.status, "fulfilled");
  assert.equal(results[5]?.status, "rejected");
  source.pace = () => {};
  await demand(reader, 0, 5);
});

Deno.test("a reader that left before an evicted span's bytes had gone costs no request, one that stayed gets them", async () => {
  const layer = noiseLayer(12);
  const gone = Promise.withResolvers<void>();
  await using served = serve(layer, { more: { onGone: () => gone.promise } });
  const { reader, source } = served;
  await demand(reader, 3, 6);
  const evicted = reader.evict([3, 6]);
  const stop = new AbortController();
  const left = reader.ensureSpans(3, 3, "demand", stop.signal);
  const stayed = demand(reader, 6);
  await pause(5);
  const before = source.fetches.length;
  stop.abort(new Error("killed"));
  await assert.rejects(left, /killed/);
  gone.resolve();
  await evicted;
  await stayed;
  assert.deepEqual(
    rangesOf(layer, source.fetches.slice(before)),
    [[6, 6]],
  );
});
