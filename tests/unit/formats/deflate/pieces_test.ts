import fc from "fast-check";
import assert from "node:assert/strict";
import {
  DeflateError,
  SpanInflater,
} from "../../../../lib/formats/deflate/mod.ts";
import { spanTable, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";
import { layerBlob, TarBuilder } from "../../../support/images/mod.ts";
import {
  compressible,
  incompressible,
} from "../../../support/images/random.ts";

function layerOf(compression: "gzip" | "gzip-multi") {
  const tar = new TarBuilder().file("text", compressible(3_000_000))
    .file("noise", incompressible(400_000)).finish();
  const { bytes } = layerBlob(tar, { compression });
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 500_000 });
  builder.push(bytes);
  const { ztoc } = builder.finish();
  return { tar, bytes, spans: spanTable(ztoc) };
}

for (const compression of ["gzip", "gzip-multi"] as const) {
  Deno.test(`a span of a ${compression} layer that comes in any pieces is inflated as one that comes at once`, () => {
    const { tar, bytes, spans } = layerOf(compression);
    const inflater = new SpanInflater();
    fc.assert(
      fc.property(
        fc.nat(spans.count - 1),
        fc.array(fc.integer({ min: 1, max: 40_000 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 100 }),
        (span, sizes, tiny) => {
          const compressed = bytes.subarray(
            spans.compressedStart(span),
            spans.compressedEnd(span),
          );
          inflater.begin(
            spans.bits(span),
            spans.window(span) ?? new Uint8Array(32768),
            spans.end(span) - spans.start(span),
          );
          let at = 0;
          for (const size of [tiny, ...sizes]) {
            inflater.push(compressed.subarray(at, at + size));
            at += size;
            const soFar = inflater.soFar();
            const start = spans.start(span);
            assert.deepEqual(soFar, tar.subarray(start, start + soFar.length));
          }
          inflater.push(compressed.subarray(at));
          assert.deepEqual(
            inflater.end(),
            tar.subarray(spans.start(span), spans.end(span)),
          );
        },
      ),
      { numRuns: 60 },
    );
  });
}

Deno.test("a span that ends early says so, and the next one is inflated all the same", () => {
  const { tar, bytes, spans } = layerOf("gzip");
  const inflater = new SpanInflater();
  const begin = () =>
    inflater.begin(
      spans.bits(1),
      spans.window(1)!,
      spans.end(1) - spans.start(1),
    );
  const compressed = bytes.subarray(
    spans.compressedStart(1),
    spans.compressedEnd(1),
  );
  begin();
  inflater.push(compressed.subarray(0, compressed.length >> 1));
  assert.throws(() => inflater.end(), DeflateError);
  begin();
  assert.throws(() => inflater.end(), DeflateError);
  begin();
  inflater.push(compressed);
  assert.deepEqual(
    inflater.end(),
    tar.subarray(spans.start(1), spans.end(1)),
  );
});
