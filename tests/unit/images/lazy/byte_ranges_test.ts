import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteRanges } from "../../../../lib/images/lazy/byte_ranges.ts";

Deno.test("ranges cover what a set of bytes would", () => {
  const range = fc.tuple(fc.nat(40), fc.nat(40)).map(([a, b]) =>
    [Math.min(a, b), Math.max(a, b)] as const
  );
  fc.assert(fc.property(fc.array(range), range, (added, [start, end]) => {
    const ranges = new ByteRanges();
    const bytes = new Set<number>();
    for (const [from, to] of added) {
      ranges.add(from, to);
      for (let at = from; at < to; at++) bytes.add(at);
    }
    let all = true;
    for (let at = start; at < end; at++) all &&= bytes.has(at);
    assert.equal(ranges.covers(start, end), all);
  }));
});

Deno.test("nothing is covered when all was taken out", () => {
  const ranges = new ByteRanges();
  ranges.add(0, 10);
  ranges.clear();
  assert.ok(!ranges.covers(0, 1));
});
