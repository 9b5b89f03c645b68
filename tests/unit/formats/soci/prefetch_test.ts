import assert from "node:assert/strict";
import {
  cleanPath,
  decodePrefetch,
  encodePrefetch,
  findPrefetch,
  mergeSpanRanges,
  SociError,
} from "../../../../lib/formats/soci/mod.ts";
import { decodeZtoc, spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import { blob, ZTOCS } from "../ztoc/fixture.ts";

const bytes = (value: string) => new TextEncoder().encode(value);

Deno.test("a prefetch list is the existing tools' JSON", () => {
  const ranges = [{ start: 0, end: 3 }, { start: 7, end: 7, priority: 2 }];
  const encoded = encodePrefetch(ranges);
  assert.equal(
    new TextDecoder().decode(encoded),
    '{"version":"1.0","prefetch_spans":[{"start_span":0,"end_span":3},' +
      '{"start_span":7,"end_span":7,"priority":2}]}',
  );
  assert.deepEqual(decodePrefetch(encoded, 8), ranges);
});

Deno.test("a prefetch list that breaks its rules is refused", () => {
  const span = '{"start_span":0,"end_span":1}';
  for (
    const bad of [
      "",
      "null",
      "[]",
      '{"version":"2.0","prefetch_spans":[' + span + "]}",
      '{"version":"1.0","prefetch_spans":[]}',
      '{"version":"1.0"}',
      '{"version":"1.0","prefetch_spans":[null]}',
      '{"version":"1.0","prefetch_spans":[{"start_span":-1,"end_span":1}]}',
      '{"version":"1.0","prefetch_spans":[{"start_span":2,"end_span":1}]}',
      '{"version":"1.0","prefetch_spans":[{"start_span":0,"end_span":4}]}',
      '{"version":"1.0","prefetch_spans":[{"start_span":0.5,"end_span":1}]}',
      '{"version":"1.0","prefetch_spans":[{"start_span":"0","end_span":1}]}',
    ]
  ) assert.throws(() => decodePrefetch(bytes(bad), 4), SociError, bad);
  assert.throws(() => decodePrefetch(new Uint8Array(2 ** 21), 4), SociError);
});

Deno.test("ranges that overlap or touch become one", () => {
  assert.deepEqual(
    mergeSpanRanges([
      { start: 5, end: 6 },
      { start: 0, end: 1 },
      { start: 2, end: 2 },
      { start: 0, end: 0 },
      { start: 8, end: 9 },
    ]),
    [{ start: 0, end: 2 }, { start: 5, end: 6 }, { start: 8, end: 9 }],
  );
});

Deno.test("paths are cleaned as layers are", () => {
  for (
    const [path, clean] of [
      ["/usr//bin/./sh", "usr/bin/sh"],
      ["./a/", "a"],
      ["a/../../b", "b"],
      ["/", ""],
    ] as const
  ) assert.equal(cleanPath(path), clean);
});

Deno.test("the spans of named files are planned, and what is not there is told", () => {
  for (const { digest } of ZTOCS) {
    const ztoc = decodeZtoc(blob(digest));
    const spans = spanTable(ztoc);
    const files = ztoc.entries.filter(({ type, size }) =>
      type === "reg" && size > 0
    );
    assert(files.length > 0);
    for (const file of files) {
      const name = new TextDecoder("utf-8").decode(file.name);
      const found = findPrefetch(ztoc, [`/${name}`, "/not/there"]);
      assert.deepEqual([...found.keys()], [`/${name}`]);
      const ranges = mergeSpanRanges([...found.values()].flat());
      const covered = (offset: number) =>
        ranges.some(({ start, end }) =>
          spans.start(start) <= offset && offset < spans.end(end)
        );
      assert(covered(file.offset) && covered(file.offset + file.size - 1));
    }
  }
});
