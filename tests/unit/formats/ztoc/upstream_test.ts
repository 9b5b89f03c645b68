/** Ztocs that the existing tools make and we do not: read as far as they can be meant. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { findPrefetch } from "../../../../lib/formats/soci/mod.ts";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeZtoc,
  spanTable,
  ZtocBuilder,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import {
  incompressible,
  joinBytes,
  TarBuilder,
} from "../../../support/images/mod.ts";
import { ztocWithEmptySpans } from "./fixture.ts";

const SPAN_SIZE = 100_000;
const EMPTY = gzipSync(new Uint8Array(0));
const LAYER = joinBytes([
  EMPTY,
  EMPTY,
  gzipSync(
    new TarBuilder().file("first", incompressible(400_000))
      .file("second", incompressible(400_000)).finish(),
  ),
]);

Deno.test("empty spans at a ztoc's beginning are passed over, and prefetch lists count them", () => {
  const theirs = decodeZtoc(encodeZtoc(ztocWithEmptySpans(LAYER, SPAN_SIZE)));
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: SPAN_SIZE });
  builder.push(LAYER);
  const ours = builder.finish().ztoc;
  assert.equal(theirs.spanDigests.length, ours.spanDigests.length + 2);
  const [theirSpans, spans] = [spanTable(theirs), spanTable(ours)];
  assert.equal(theirSpans.first, 2);
  assert.equal(spans.first, 0);
  assert.ok(spans.count > 3);
  assert.equal(theirSpans.count, spans.count);
  for (let span = 0; span < spans.count; span++) {
    for (
      const of of [
        "compressedStart",
        "compressedEnd",
        "start",
        "end",
        "bits",
        "digest",
        "window",
      ] as const
    ) assert.deepEqual(theirSpans[of](span), spans[of](span), of);
  }
  assert.equal(theirSpans.spanAt(0), 0);
  const planned = findPrefetch(ours, ["second"]).get("second")!;
  assert.deepEqual(
    findPrefetch(theirs, ["second"]).get("second"),
    planned.map(({ start, end }) => ({ start: start + 2, end: end + 2 })),
  );
});

Deno.test("an empty span anywhere else, and one out of order, are refused", () => {
  const theirs = ztocWithEmptySpans(LAYER, SPAN_SIZE);
  const decoded = decodeCheckpoints(theirs.checkpoints);
  const change = (span: number, to: { in?: number; out?: number }) => () =>
    decodeZtoc(encodeZtoc({
      ...theirs,
      checkpoints: encodeCheckpoints({
        ...decoded,
        checkpoints: decoded.checkpoints.map((one, i) =>
          i === span ? { ...one, ...to } : one
        ),
      }),
    }));
  const { checkpoints } = decoded;
  for (
    const wrong of [
      change(4, { out: checkpoints[3]!.out }),
      change(4, { out: 0 }),
      change(0, { out: 1 }),
      change(1, { in: checkpoints[0]!.in }),
      change(1, { in: LAYER.length + 1 }),
      change(0, { in: 0 }),
    ]
  ) {
    assert.throws(
      wrong,
      (error) => error instanceof ZtocError && error.code === "order",
    );
  }
});

Deno.test("a ztoc that lists a sparse file is refused: its size is not that of its bytes in the tar", () => {
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: SPAN_SIZE });
  builder.push(LAYER);
  const { ztoc } = builder.finish();
  const bytes = (text: string) => new TextEncoder().encode(text);
  const listing = (key: string) =>
    encodeZtoc({
      ...ztoc,
      entries: ztoc.entries.map((entry, i) =>
        i === 1 ? { ...entry, xattrs: [[bytes(key), bytes("1")]] } : entry
      ),
    });
  for (const key of ["GNU.sparse.major", "GNU.sparse.map"]) {
    assert.throws(
      () => decodeZtoc(listing(key)),
      (error) => error instanceof ZtocError && error.code === "sparse",
    );
  }
  for (const key of ["GNU.sparse", "GNU.volume.label"]) {
    assert.equal(decodeZtoc(listing(key)).entries.length, 2);
  }
});
