/** A reader goes first, also in the middle of what is fetched for nobody yet. */
import assert from "node:assert/strict";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import type {
  ScheduledLayer,
  SpanClass,
  SpanSource,
} from "../../../../lib/layers/spans/mod.ts";
import { Host } from "../../../../lib/layers/spans/host.ts";
import { PendingSpan } from "../../../../lib/layers/spans/pending.ts";
import { makeRequest } from "../../../../lib/layers/spans/requests.ts";
import {
  type Fetch,
  noiseLayer,
  serve,
  type ServedTestLayer,
} from "./support.ts";

const layer = noiseLayer(40);
const spans = spanTable(layer.ztoc);
const SPAN = spans.compressedEnd(4) - spans.compressedStart(4);
/** Several pieces a span. */
const PIECE = Math.floor(SPAN / 8);
const soon = () => AbortSignal.timeout(20_000);
/** So that what can happen without new bytes has happened. */
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 25));

/** A source that gives the first bytes of each range, and the rest when it is let go. */
class HeldLine {
  readonly given = new Map<Fetch, number>();
  readonly #let = new Set<Fetch>();
  readonly #changed: (() => void)[] = [];
  #all = false;

  constructor({ source }: ServedTestLayer, heldFromBytes: number) {
    source.pieceBytes = PIECE;
    source.pace = async (filled, fetch) => {
      this.given.set(fetch, filled);
      while (
        filled >= heldFromBytes && !this.#all && !this.#let.has(fetch) &&
        !fetch.signal.aborted
      ) {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#changed.push(resolve);
        fetch.signal.addEventListener("abort", () => resolve());
        await promise;
      }
    };
  }

  /** Gives all of one range, or of all from now on. */
  let(fetch: Fetch | "all"): void {
    if (fetch === "all") this.#all = true;
    else this.#let.add(fetch);
    for (const change of this.#changed.splice(0)) change();
  }
}

function want(
  { reader }: ServedTestLayer,
  cls: SpanClass,
  first: number,
  last = first,
): Promise<void> {
  const wanted = reader.ensureSpans(first, last, cls, soon());
  wanted.catch(() => {}); // looked at by whoever awaits it
  return wanted;
}

const startsAt = ({ start }: Fetch) => {
  for (let span = 0; span < spans.count; span++) {
    if (start < spans.compressedEnd(span) - 1) return span;
  }
  return -1;
};

Deno.test("a reader interrupts a prefetched run in the middle of a span, and no byte of it comes twice", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, 2.5 * SPAN);
  const { fetches } = served.source;
  const ahead = want(served, "prefetch", 0, 6);
  await settle();
  assert.equal(fetches.length, 1);
  const reader = want(served, "demand", 30);
  await settle();
  assert.equal(startsAt(fetches[1]!), 30);
  assert.ok(fetches[0]!.signal.aborted);
  line.let(fetches[1]!);
  await reader;
  line.let("all");
  await ahead;
  assert.deepEqual(fetches.map(startsAt), [0, 30, 2]);
  const kept = line.given.get(fetches[0]!)!;
  assert.equal(fetches[2]!.start, fetches[0]!.start + kept);
});

Deno.test("a reader of a span far behind in a prefetched run does not wait for what is before it", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, SPAN / 2);
  const { fetches } = served.source;
  const ahead = want(served, "prefetch", 0, 20);
  await settle();
  const reader = want(served, "demand", 15);
  await settle();
  // What was interrupted may go on beside it.
  assert.deepEqual(fetches.slice(0, 2).map(startsAt), [0, 15]);
  line.let(fetches[1]!);
  await reader;
  line.let("all");
  await ahead;
});

Deno.test("a reader of the span that is just coming keeps the request, and the one behind it waits no longer", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, SPAN / 2);
  const { fetches } = served.source;
  const ahead = want(served, "prefetch", 0, 6);
  await settle();
  const reader = want(served, "demand", 0);
  await settle();
  assert.equal(fetches.length, 1);
  assert.ok(!fetches[0]!.signal.aborted);
  line.let("all");
  await reader;
  await ahead;
  assert.equal(fetches.length, 1);
});

Deno.test("what a reader's request takes along is interrupted by the next reader", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, 1.5 * SPAN);
  const { fetches } = served.source;
  const ahead = want(served, "prefetch", 4, 9);
  const first = want(served, "demand", 3);
  await first; // of a request for spans 3 to 9
  assert.deepEqual(fetches.map(startsAt), [3]);
  const next = want(served, "demand", 30);
  await settle();
  assert.ok(fetches[0]!.signal.aborted);
  line.let(fetches[1]!);
  await next;
  line.let("all");
  await ahead;
});

Deno.test("what was interrupted goes on in the order it was wanted", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, SPAN / 2);
  const { fetches } = served.source;
  const ahead = [10, 20, 30].map((span) => want(served, "prefetch", span));
  await settle();
  assert.deepEqual(fetches.map(startsAt), [10, 20]);
  const reader = want(served, "demand", 1);
  await settle();
  assert.equal(startsAt(fetches[2]!), 1);
  assert.ok(fetches[0]!.signal.aborted && fetches[1]!.signal.aborted);
  line.let(fetches[2]!);
  await reader;
  line.let("all");
  await Promise.all(ahead);
  assert.deepEqual(fetches.slice(3).map(startsAt), [10, 20, 30]);
});

/** Whether a request for four spans of a megabyte gives way to a reader of another. @param bytesPerMs 0: unknown. */
function isInterrupted(
  cls: SpanClass,
  bytesPerMs: number,
  { receivedBytes = 0 } = {},
): boolean {
  const host = new Host("example.org");
  if (bytesPerMs > 0) {
    host.pace.begin(0);
    host.pace.received(bytesPerMs * 1000, false, 1000);
  }
  const lane = host.lane("team/app");
  const scheduled = {
    compressedStart: (span: number) => span * 1_000_000,
    compressedEnd: (span: number) => (span + 1) * 1_000_000,
  } as ScheduledLayer;
  const spans = [0, 1, 2, 3].map((span) =>
    new PendingSpan(scheduled, span, cls)
  );
  for (const pending of spans) {
    pending.source = { host: "example.org" } as SpanSource;
  }
  const request = makeRequest(lane, spans);
  request.received = receivedBytes;
  request.next = Math.floor(receivedBytes / 1_000_000);
  lane.requests.add(request);
  lane.queues.demand.add(new PendingSpan(scheduled, 9, "demand"));
  host.yieldToReaders();
  return request.abort.signal.aborted;
}

Deno.test("on a line so fast that a reader's span is here in a moment, nothing is interrupted for it", () => {
  assert.ok(isInterrupted("prefetch", 12_500), "80 ms a span");
  assert.ok(!isInterrupted("prefetch", 200_000), "5 ms a span");
});

Deno.test("what a recorded order names is not interrupted when it is here in a moment, or nobody knows when", () => {
  const receivedBytes = 3_000_000;
  assert.ok(isInterrupted("prefetch", 12_500, { receivedBytes }));
  assert.ok(!isInterrupted("expected", 12_500, { receivedBytes }), "80 ms");
  assert.ok(isInterrupted("expected", 12_500), "320 ms");
  assert.ok(!isInterrupted("expected", 0));
  assert.ok(isInterrupted("prefetch", 0));
  assert.ok(isInterrupted("background", 12_500, { receivedBytes }));
});

Deno.test("what is read ahead is not interrupted when it is half here, as what is on the line would have to come twice", () => {
  const receivedBytes = 3_400_000;
  assert.ok(!isInterrupted("prefetch", 12_500, { receivedBytes }), "48 ms");
  assert.ok(isInterrupted("background", 12_500, { receivedBytes }));
  assert.ok(isInterrupted("prefetch", 12_500, { receivedBytes: 3_300_000 }));
});

Deno.test("a request ahead is no longer than a reader waits for it, once the line is known", () => {
  const host = new Host("example.org");
  assert.deepEqual(host.maxAheadBytes, { expected: 0, prefetch: Infinity });
  host.pace.begin(0);
  host.pace.received(12_500_000, false, 1000);
  assert.deepEqual(host.maxAheadBytes, {
    expected: 1_250_000,
    prefetch: 625_000,
  });
});

Deno.test("what a recorded order names comes before read-ahead, in requests that a reader can wait for", async () => {
  await using served = serve(layer);
  const line = new HeldLine(served, Infinity);
  const { fetches } = served.source;
  const all = [
    want(served, "prefetch", 0, 3),
    want(served, "expected", 10, 13),
    want(served, "demand", 9),
  ];
  line.let("all");
  await Promise.all(all);
  // The line's rate is not known yet: one span at a time.
  assert.deepEqual(fetches.map(startsAt), [9, 10, 11, 12, 13, 0]);
});
