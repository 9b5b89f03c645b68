import assert from "node:assert/strict";
import { ReadAhead } from "../../../../lib/layers/spans/read_ahead.ts";

const SPAN_BYTES = 1_000_000;

function readAhead(
  options: { count?: number; maxBytes?: number; bytesPerMs?: number } = {},
): ReadAhead {
  const { count = 100, maxBytes = Infinity, bytesPerMs = 0 } = options;
  return new ReadAhead({
    count,
    compressedStart: (span) => span * SPAN_BYTES,
    compressedEnd: (span) => (span + 1) * SPAN_BYTES,
    bytesPerMs: () => bytesPerMs,
    maxBytes,
  });
}

/** What is read ahead after each of these spans is asked for. */
function after(ahead: ReadAhead, spans: readonly number[]) {
  return spans.map((span) => {
    const found = ahead.asked(span, span);
    return found === null ? null : [found.first, found.last];
  });
}

Deno.test("reads here and there, and of two neighbours, read nothing ahead", () => {
  assert.deepEqual(
    after(readAhead(), [50, 3, 71, 72, 20, 21, 90]),
    [null, null, null, null, null, null, null],
  );
});

Deno.test("the third span in order reads one ahead, later ones twice as much each time", () => {
  const ahead = readAhead();
  assert.deepEqual(after(ahead, [10, 11, 12]), [null, null, [13, 13]]);
  assert.deepEqual(after(ahead, [13]), [[14, 15]]);
  assert.deepEqual(after(ahead, [14]), [[16, 18]]);
});

Deno.test("a jump past the watched span is another reader's, however much is read ahead", () => {
  const ahead = readAhead();
  // Ahead of 14: spans 16 to 18, of which 17 is watched.
  after(ahead, [10, 11, 12, 13, 14]);
  assert.deepEqual(after(ahead, [18, 17]), [null, [19, 25]]);
});

Deno.test("readers of different places are told apart", () => {
  const ahead = readAhead();
  assert.deepEqual(
    after(ahead, [10, 40, 11, 41, 12, 42]),
    [null, null, null, null, [13, 13], [43, 43]],
  );
});

Deno.test("no more is read ahead than there is, than allowed, and than the line gives in a second", () => {
  assert.deepEqual(
    after(readAhead({ count: 4 }), [0, 1, 2, 3]),
    [null, null, [3, 3], null],
  );
  const most = (options: Parameters<typeof readAhead>[0]) => {
    const ahead = readAhead(options);
    let spans = 0;
    for (let span = 0; span < 60; span++) {
      const found = ahead.asked(span, span);
      if (found !== null) {
        spans = Math.max(spans, found.last - found.first + 1);
      }
    }
    return spans;
  };
  assert.ok(most({ maxBytes: 3 * SPAN_BYTES }) <= 3);
  assert.ok(most({ bytesPerMs: 2_000 }) <= 2);
  assert.ok(most({}) > 3);
});

Deno.test("however fast a reader asks, no more is ahead of it than may be", () => {
  const maxBytes = 6 * SPAN_BYTES;
  const ahead = readAhead({ maxBytes, count: 1000 });
  let end = 0;
  for (let span = 0; span < 100; span++) {
    end = Math.max(end, ahead.asked(span, span)?.last ?? 0);
    assert.ok((end - span) * SPAN_BYTES <= maxBytes, `${end} at ${span}`);
  }
  assert.ok(end > 100);
});
