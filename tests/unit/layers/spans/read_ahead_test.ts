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

  /** A read inside one span, of which the main isolate hears when it is missing or watched. */
  read(offset: number, length = READ_BYTES): Ahead | null {
    const span = Math.floor(offset / SPAN_BYTES);
    const asks = !this.here.has(span) || this.#watched === span;
    this.reads[span]! += length;
    this.here.add(span);
    if (!asks) return null;
    if (this.#watched === span) this.#watched = -1;
    const ahead = readAhead(this, offset, span, span);
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

const range = (ahead: Ahead | null) => ahead && [ahead.first, ahead.last];

Deno.test("behind a reader of whole spans one is read ahead after two, then twice as many each time", () => {
  const layer = new ReadableLayer();
  assert.deepEqual(
    [10, 11, 12, 13, 14].map((span) => range(layer.readSpan(span))),
    [null, null, [13, 13], [14, 15], [15, 18]],
  );
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
          for (const before of [span - 1, span - 2]) {
            assert.ok(layer.reads[before]! >= 0.75 * SPAN_BYTES);
          }
          assert.ok(ahead.first === span + 1 && ahead.last < 30);
          assert.ok(ahead.watch >= ahead.first && ahead.watch <= ahead.last);
        }
      }
    },
  ));
});

Deno.test("a reader in order that leaves out a little waits for its first three spans and the next, and wastes less than it read", () => {
  fc.assert(fc.property(
    fc.nat(20),
    fc.integer({ min: 1, max: 60 }),
    fc.double({ min: 0.8, max: 1, noNaN: true }),
    (start, spans, share) => {
      const layer = new ReadableLayer();
      let waited = 0;
      for (let span = start; span < start + spans; span++) {
        if (!layer.here.has(span)) waited++;
        layer.readSpan(span, share);
      }
      assert.ok(waited <= 3, `waited for ${waited} spans`);
      assert.ok(layer.unread.length <= Math.max(0, spans - 1));
      assert.ok(layer.unread.length * COMPRESSED_BYTES <= 16 * 2 ** 20);
    },
  ));
});
