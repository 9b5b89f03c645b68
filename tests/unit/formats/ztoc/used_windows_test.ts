/** Ztocs that keep only what is used of their windows. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import {
  SpanInflater,
  WINDOW_BYTES,
} from "../../../../lib/formats/deflate/mod.ts";
import {
  decodeCheckpoints,
  spanTable,
  type Ztoc,
  ZtocBuilder,
  type ZtocBuilderOptions,
} from "../../../../lib/formats/ztoc/mod.ts";
import { layerBlob, TarBuilder } from "../../../support/images/mod.ts";
import {
  compressible,
  incompressible,
} from "../../../support/images/random.ts";

type Options = Omit<ZtocBuilderOptions, "compression">;

function build(
  layer: Uint8Array,
  options: Options,
  pieces: readonly number[] = [],
): Ztoc {
  const builder = new ZtocBuilder({ compression: "gzip", ...options });
  let at = 0;
  for (const piece of pieces) {
    builder.push(layer.slice(at, at + piece));
    at += piece;
  }
  if (at < layer.length) builder.push(layer.slice(at));
  return builder.finish().ztoc;
}

const TAR = new TarBuilder().file("text", compressible(2_000_000))
  .file("noise", incompressible(300_000))
  .file("zeros", new Uint8Array(1_500_000))
  .file("more", compressible(900_000)).finish();
/** By how they are packed. */
const LAYERS: Readonly<Record<string, Uint8Array>> = {
  gzip: layerBlob(TAR, { compression: "gzip" }).bytes,
  "many members": layerBlob(TAR, { compression: "gzip-multi" }).bytes,
  stored: gzipSync(TAR, { level: 0 }),
  "fixed codes": gzipSync(TAR, { strategy: constants.Z_FIXED }),
  quick: gzipSync(TAR, { level: 1 }),
};

const windowsOf = (ztoc: Ztoc) =>
  decodeCheckpoints(ztoc.checkpoints).checkpoints.map(({ window }) => window);

for (const [how, layer] of Object.entries(LAYERS)) {
  for (const spanSize of [WINDOW_BYTES, 250_000, 1_000_000]) {
    Deno.test(`with used windows alone, spans of ${spanSize} bytes of a layer packed as ${how} are the same`, () => {
      const all = build(layer, { spanSize });
      const used = build(layer, { spanSize, windows: "used" });
      assert.deepEqual(used.spanDigests, all.spanDigests);
      assert.deepEqual({ ...used, checkpoints: 0 }, { ...all, checkpoints: 0 });
      const spans = spanTable(used);
      const inflater = new SpanInflater();
      const [wide, thin] = [windowsOf(all), windowsOf(used)];
      for (let span = 0; span < spans.count; span++) {
        const [from, to] = [spans.start(span), spans.end(span)];
        const compressed = layer.subarray(
          spans.compressedStart(span),
          spans.compressedEnd(span),
        );
        const expected = TAR.subarray(from, to);
        const bits = spans.bits(span);
        const inflate = (window: Uint8Array) =>
          inflater.inflate(compressed, bits, window, to - from);
        assert.deepEqual(inflate(thin[span]!), expected);
        // What was left out may be anything.
        const other = wide[span]!.map((byte, at) =>
          byte === thin[span]![at] ? byte : byte ^ 0xff
        );
        assert.deepEqual(inflate(other), expected);
      }
      const kept = (windows: Uint8Array[]) =>
        windows.reduce(
          (sum, window) => sum + window.filter((byte) => byte !== 0).length,
          0,
        );
      if (how === "stored") assert.equal(kept(thin), 0);
      if (how === "gzip") assert.ok(kept(thin) * 2 < kept(wide));
    });
  }
}

Deno.test("no byte of a window is kept that nothing copies", () => {
  const layer = LAYERS.gzip!;
  const ztoc = build(layer, { spanSize: 500_000, windows: "used" });
  const spans = spanTable(ztoc);
  const inflater = new SpanInflater();
  const random = incompressible(64, 5);
  for (const [span, window] of windowsOf(ztoc).entries()) {
    const size = spans.end(span) - spans.start(span);
    const compressed = layer.subarray(
      spans.compressedStart(span),
      spans.compressedEnd(span),
    );
    const right = inflater.inflate(compressed, spans.bits(span), window, size)
      .slice();
    const kept = [...window.keys()].filter((at) => window[at] !== 0);
    for (const byte of random.subarray(0, 8)) {
      const at = kept[byte % Math.max(1, kept.length)];
      if (at === undefined) continue;
      const changed = window.with(at, window[at]! ^ 1);
      const bytes = inflater.inflate(
        compressed,
        spans.bits(span),
        changed,
        size,
      );
      assert.notDeepEqual(bytes, right, `byte ${at} of span ${span}'s window`);
    }
  }
});

Deno.test("used windows do not depend on the pieces in which a layer comes", () => {
  const layer = LAYERS.gzip!;
  const options: Options = { spanSize: 200_000, windows: "used" };
  const expected = build(layer, options);
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 300_000 }), { maxLength: 40 }),
      (pieces) => assert.deepEqual(build(layer, options, pieces), expected),
    ),
    { numRuns: 15 },
  );
});

Deno.test("windows of spans that are too small to tell are kept whole", () => {
  const layer = LAYERS.gzip!;
  const spanSize = WINDOW_BYTES - 1;
  assert.deepEqual(
    build(layer, { spanSize, windows: "used" }),
    build(layer, { spanSize }),
  );
});

Deno.test("behind a checkpoint may come thousands of blocks without a byte of output", () => {
  const half = TAR.length >> 1;
  const empty = deflateRawSync(new Uint8Array(0), {
    finishFlush: constants.Z_FULL_FLUSH,
  });
  const parts: Uint8Array[] = [];
  // Blocks of a stream that ends nowhere, with nothing between them.
  const part = (bytes: Uint8Array) =>
    deflateRawSync(bytes, { finishFlush: constants.Z_FULL_FLUSH });
  parts.push(part(TAR.subarray(0, half)));
  for (let i = 0; i < 20_000; i++) parts.push(empty);
  parts.push(deflateRawSync(TAR.subarray(half)));
  const whole = gzipSync(TAR);
  const layer = new Uint8Array(
    Buffer.concat([whole.subarray(0, 10), ...parts, whole.subarray(-8)]),
  );
  const options: Options = { spanSize: 400_000 };
  const used = build(layer, { ...options, windows: "used" });
  assert.deepEqual(used.spanDigests, build(layer, options).spanDigests);
});
