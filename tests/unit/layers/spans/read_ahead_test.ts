import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Ahead,
  readAhead,
  type ReadLayer,
} from "../../../../lib/layers/spans/read_ahead.ts";

const SPAN_BYTES = 4 * 2 ** 20;
const COMPRESSED_BYTES = 1_000_000;
/** What the kernel reads at a time. */
const READ_BYTES = 128 * 1024;

interface Options {
  readonly count?: number;
  readonly maxBytes?: number;
  readonly bytesPerMs?: number;
}

/** A layer, what was read of it, and what is here because it was read or read ahead. */
class ReadableLayer implements ReadLayer {
  readonly count: number;
  readonly maxBytes: number;
  readonly reads: number[];
  readonly here = new Set<number>();
  readonly ahead = new Set<number>();
  /** Spans that a read had to wait for. */
  waited = 0;
  readonly #bytesPerMs: number;
  #watched = -1;

  constructor(
    { count = 100, maxBytes = Infinity, bytesPerMs = 0 }: Options = {},
  ) {
    this.count = count;
    this.maxBytes = maxBytes;
    this.#bytesPerMs = bytesPerMs;
    this.reads = new Array(count).fill(0);
  }

  start = (span: number) => span * SPAN_BYTES;
  end = (span: number) => (span + 1) * SPAN_BYTES;
  compressedStart = (span: number) => span * COMPRESSED_BYTES;
  compressedEnd = (span: number) => (span + 1) * COMPRESSED_BYTES;
  bytesPerMs = () => this.#bytesPerMs;
  readBytes = (span: number) => this.reads[span]!;

  /** A read, of which the main isolate hears when a span of it is missing or watched. */
  read(offset: number, length = READ_BYTES): Ahead | null {
    const end = Math.min(offset + length, this.end(this.count - 1));
    const last = Math.floor((end - 1) / SPAN_BYTES);
    let asks = false;
    for (let at = offset; at < end;) {
      const span = Math.floor(at / SPAN_BYTES);
      const to = Math.min(end, this.end(span));
      asks ||= !this.here.has(span) || this.#watched === span;
      if (!this.here.has(span)) this.waited++;
      if (this.#watched === span) this.#watched = -1;
      this.reads[span]! += to - at;
      this.here.add(span);
      at = to;
    }
    if (!asks) return null;
    const ahead = readAhead(this, offset, last);
    if (ahead === null) return null;
    for (let span = ahead.first; span <= ahead.last; span++) {
      if (this.here.has(span)) continue;
      this.here.add(span);
      this.ahead.add(span);
    }
    this.#watched = ahead.watch;
    return ahead;
  }

  /** Reads a span from its beginning, up to that share of it. */
  readSpan(span: number, share = 1): Ahead | null {
    let first: Ahead | null = null;
    for (let at = 0; at < share * SPAN_BYTES; at += READ_BYTES) {
      const ahead = this.read(this.start(span) + at);
      first ??= ahead;
    }
    return first;
  }

  /** Spans that were read ahead and not read. */
  get unread(): number[] {
    return [...this.ahead].filter((span) => this.reads[span] === 0);
  }
}

/** As a layer with smaller spans has it: so many bytes of each were read. */
function smallSpans(spanBytes: number, read: readonly number[]): ReadLayer {
  return {
    count: 100,
    start: (span) => span * spanBytes,
    end: (span) => (span + 1) * spanBytes,
    compressedStart: (span) => span * 1000,
    compressedEnd: (span) => (span + 1) * 1000,
    readBytes: (span) => read[span] ?? 0,
    bytesPerMs: () => 0,
    maxBytes: Infinity,
  };
}

const range = (ahead: Ahead | null) => ahead && [ahead.first, ahead.last];

Deno.test("behind a reader of whole spans one is read ahead after two, then twice as many each time", () => {
  const layer = new ReadableLayer();
  assert.deepEqual(
    [10, 11, 12, 13, 14].map((span) => range(layer.readSpan(span))),
    [null, null, [13, 13], [14, 15], [15, 18]],
  );
});

Deno.test("of small spans four must have been read, of 2 MiB two", () => {
  for (const [mib, least] of [[2, 2], [1, 4], [0.25, 4]] as const) {
    const bytes = mib * 2 ** 20;
    const asked = 10;
    for (let run = 0; run <= 6; run++) {
      const read = Array.from(
        { length: asked },
        (_, span) => span >= asked - run ? bytes : bytes / 2,
      );
      const layer = smallSpans(bytes, read);
      const ahead = readAhead(layer, layer.start(asked), asked);
      assert.equal(ahead !== null, run >= least, `${run} of ${mib} MiB`);
    }
    // At the beginning of a layer there are no more.
    const all = smallSpans(bytes, [bytes, bytes]);
    assert.ok(readAhead(all, all.start(2), 2) !== null);
  }
});

Deno.test("page faults that touch less than half of each span in order read nothing ahead", () => {
  const layer = new ReadableLayer();
  for (let span = 0; span < 50; span++) {
    assert.equal(layer.readSpan(span, 0.5), null);
  }
});

Deno.test("a reader that comes into the middle of the next span reads nothing ahead", () => {
  const layer = new ReadableLayer();
  layer.readSpan(4);
  layer.readSpan(5);
  assert.equal(layer.read(layer.start(6) + SPAN_BYTES / 2), null);
});

Deno.test("readers of different places are told apart", () => {
  const layer = new ReadableLayer();
  assert.deepEqual(
    [10, 40, 11, 41, 12, 42].map((span) => range(layer.readSpan(span))),
    [null, null, null, null, [13, 13], [43, 43]],
  );
});

Deno.test("no more is read ahead than there is, than allowed, and than the line gives in a second", () => {
  const most = (options: Options) => {
    const layer = new ReadableLayer({ count: 60, ...options });
    let spans = 0;
    for (let span = 0; span < layer.count; span++) {
      const ahead = layer.readSpan(span);
      if (ahead !== null) spans = Math.max(spans, ahead.last - span);
    }
    assert.ok(Math.max(...layer.ahead) < layer.count);
    return spans;
  };
  assert.equal(most({ maxBytes: 3 * COMPRESSED_BYTES }), 3);
  assert.equal(most({ bytesPerMs: 2_000 }), 2);
  assert.ok(most({}) > 8);
});

const share = fc.double({ min: 0, max: 1, noNaN: true });

Deno.test("whatever is read, nothing comes ahead unless both spans before were read nearly whole", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({ span: fc.nat(29), share, from: fc.nat(31) }),
      { maxLength: 60 },
    ),
    (visits) => {
      const layer = new ReadableLayer({ count: 30 });
      for (const { span, share, from } of visits) {
        for (let i = from; i < 32 && i < from + share * 32; i++) {
          const ahead = layer.read(layer.start(span) + i * READ_BYTES);
          if (ahead === null) continue;
          for (const before of [ahead.first - 2, ahead.first - 3]) {
            assert.ok(layer.reads[before]! >= 0.75 * SPAN_BYTES);
          }
          assert.ok(ahead.first > span && ahead.last < 30);
          assert.ok(ahead.watch >= ahead.first && ahead.watch <= ahead.last);
        }
      }
    },
  ));
});

Deno.test("a reader in order, whatever its reads and the gaps between them, waits for its first spans alone, and no more is wasted than it read", () => {
  fc.assert(fc.property(
    fc.nat(20),
    fc.integer({ min: 1, max: 60 }),
    fc.integer({ min: 512, max: 1024 * 1024 }),
    fc.integer({ min: 0, max: 8192 }),
    (start, spans, length, gap) => {
      const layer = new ReadableLayer();
      // Files of any size with headers between them, across the borders of spans.
      const end = layer.end(start + spans - 1);
      for (let at = layer.start(start); at < end; at += length) {
        layer.read(at, length);
        at += Math.min(gap, length / 4);
      }
      assert.ok(layer.waited <= 4, `waited for ${layer.waited} spans`);
      assert.ok(layer.unread.length <= spans);
      assert.ok(layer.unread.length * COMPRESSED_BYTES <= 16 * 2 ** 20);
    },
  ));
});
