import assert from "node:assert/strict";
import fc from "fast-check";
import { listedRanges } from "../../../../lib/images/lazy/prefetch_lists.ts";

const spans = (first: number, count: number) => ({
  first,
  count,
  start: (span: number) => span * 100,
  end: (span: number) => (span + 1) * 100,
});

Deno.test("spans that hold nothing, before the tar or behind it, are left out of a list's ranges", () => {
  assert.deepEqual(
    listedRanges(spans(2, 5), [
      { start: 0, end: 1 },
      { start: 1, end: 2 },
      { start: 4, end: 9 },
      { start: 7, end: 9 },
    ]),
    [{ offset: 0, length: 100 }, { offset: 200, length: 300 }],
  );
  assert.deepEqual(listedRanges(spans(0, 0), [{ start: 0, end: 3 }]), []);
});

Deno.test("whatever spans are listed, their ranges lie in the tar", () => {
  const range = fc.tuple(fc.nat(50), fc.nat(50)).map(([start, more]) => ({
    start,
    end: start + more,
  }));
  fc.assert(fc.property(
    fc.nat(10),
    fc.nat(40),
    fc.array(range),
    (first, count, list) => {
      for (
        const { offset, length } of listedRanges(spans(first, count), list)
      ) {
        assert.ok(offset >= 0 && length > 0 && offset + length <= count * 100);
      }
    },
  ));
});
