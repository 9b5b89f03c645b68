import assert from "node:assert/strict";
import { spanTable } from "../../../../lib/formats/ztoc/mod.ts";
import {
  type ChallengedLayer,
  showsLayer,
} from "../../../../lib/layers/spans/mod.ts";
import { MemorySource, noiseLayer, type TestLayer } from "./support.ts";

const LAYER = noiseLayer(12);
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
    copy(offset, into) {
      into.set(tar.subarray(offset, offset + into.length));
      return true;
    },
  };
}

for (
  const [what, here] of [
    ["some", (span: number) => span > 3],
    ["no", () => false],
    ["only the first", (span: number) => span === 0],
  ] as const
) {
  Deno.test(`with ${what} spans here, a registry that has the layer shows it in one request of a part`, async () => {
    const source = new MemorySource(LAYER.blob);
    assert.equal(
      await showsLayer(challenged(LAYER, here), source, NEVER),
      true,
    );
    assert.equal(source.fetches.length, 1);
    const { start, end } = source.fetches[0]!;
    assert.ok(end - start < LAYER.blob.length / 2);
  });

  Deno.test(`with ${what} spans here, a registry that knows the layer's first bytes and its size shows nothing`, async () => {
    const blob = new Uint8Array(LAYER.blob.length);
    // Half of the first span.
    blob.set(LAYER.blob.subarray(0, 32 * 1024));
    for (let tries = 0; tries < 20; tries++) {
      const source = new MemorySource(blob);
      assert.equal(
        await showsLayer(challenged(LAYER, here), source, NEVER),
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
