import assert from "node:assert/strict";
import { zstdCompressSync } from "node:zlib";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { spanTable, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";
import {
  incompressible,
  joinBytes,
  TarBuilder,
} from "../../../support/images/mod.ts";
import {
  type ChallengedLayer,
  showsLayer,
} from "../../../../lib/layers/spans/mod.ts";
import { MemorySource, noiseLayer, type TestLayer } from "./support.ts";

/** Frames of other sizes than spans, of bytes of which zstd makes less, and of such as it leaves alone. */
function zstdLayer(): TestLayer {
  const builder = new TarBuilder();
  for (let i = 0; i < 12; i++) {
    builder.file(`noise-${i}`, incompressible(200_000, i + 1))
      .file(`text-${i}`, incompressible(100_000, i + 50).toHex());
  }
  const tar = builder.finish();
  const frames: Uint8Array[] = [];
  for (let at = 0; at < tar.length; at += 210_000) {
    frames.push(zstdCompressSync(tar.subarray(at, at + 210_000)));
  }
  const blob = new Uint8Array(joinBytes(frames));
  const index = new ZtocBuilder({ compression: "zstd", spanSize: 400_000 });
  index.push(blob);
  const { ztoc } = index.finish();
  return { tar, blob, digest: sha256(blob), ztoc };
}

const LAYER = noiseLayer(12);
const LAYERS = [["gzip", LAYER], ["zstd", zstdLayer()]] as const;
const NEVER = new AbortController().signal;

/** The layer with some spans here. */
function challenged(
  { ztoc, tar }: TestLayer,
  here: (span: number) => boolean,
): ChallengedLayer {
  return {
    spans: spanTable(ztoc),
    compression: ztoc.compression,
    has: here,
    compared: () => Promise.resolve(),
    copy(offset, into) {
      into.set(tar.subarray(offset, offset + into.length));
      return true;
    },
  };
}

for (const [packing, layer] of LAYERS) {
  for (
    const [what, here] of [
      ["some", (span: number) => span > 3],
      ["no", () => false],
      ["only the first", (span: number) => span === 0],
    ] as const
  ) {
    Deno.test(`with ${what} spans of ${packing} here, a registry that has the layer shows it in one request of a part`, async () => {
      const source = new MemorySource(layer.blob);
      assert.equal(
        await showsLayer(challenged(layer, here), source, NEVER),
        true,
      );
      assert.equal(source.fetches.length, 1);
      const { start, end } = source.fetches[0]!;
      assert.ok(end - start < layer.blob.length / 2);
    });

    Deno.test(`with ${what} spans of ${packing} here, a registry that knows the layer's first bytes and its size shows nothing`, async () => {
      const blob = new Uint8Array(layer.blob.length);
      // Half of the first span.
      const first = spanTable(layer.ztoc).compressedEnd(0);
      blob.set(layer.blob.subarray(0, first >> 1));
      for (let tries = 0; tries < 20; tries++) {
        const source = new MemorySource(blob);
        assert.equal(
          await showsLayer(challenged(layer, here), source, NEVER),
          false,
        );
      }
    });
  }
}

for (const here of ["nothing", "the first span", "all"] as const) {
  Deno.test(`with ${here} here, a registry that knows the whole first span shows nothing`, async () => {
    const blob = new Uint8Array(LAYER.blob.length);
    const first = spanTable(LAYER.ztoc).compressedEnd(0);
    blob.set(LAYER.blob.subarray(0, first));
    const isHere = (span: number) =>
      here === "all" || (here === "the first span" && span === 0);
    for (let tries = 0; tries < 40; tries++) {
      const layer = challenged(LAYER, isHere);
      assert.equal(
        await showsLayer(layer, new MemorySource(blob), NEVER),
        false,
      );
    }
  });
}

Deno.test("which span is asked for cannot be foreseen", async () => {
  const starts = new Set<number>();
  for (let tries = 0; tries < 60; tries++) {
    const source = new MemorySource(LAYER.blob);
    await showsLayer(challenged(LAYER, () => true), source, NEVER);
    starts.add(source.fetches[0]!.start);
  }
  assert.ok(starts.size > 4, `only ${starts.size} different spans`);
});
