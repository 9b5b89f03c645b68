import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  type CountedLayer,
  figuresOf,
} from "../../../../lib/images/replay/figures.ts";

const DIGEST = sha256(new Uint8Array([7]));

function layer(
  use: Partial<CountedLayer["pack"]["use"]>,
  unreadAheadBytes = 0,
  lied = false,
): CountedLayer {
  const all = {
    ...{ arrivedBytes: 0, readBytes: 0, lateReads: 0, lateBytes: 0 },
    ...use,
  };
  const signal = lied ? AbortSignal.abort() : new AbortController().signal;
  return { pack: { use: all, lied: signal }, reader: { unreadAheadBytes } };
}

const figures = (layers: readonly CountedLayer[], hintedBytes = 0) =>
  figuresOf({
    ...{ image: "registry.example/app:1", manifest: DIGEST, digest: DIGEST },
    ...{ workload: "web", isPinned: true, isLearned: false },
    ...{ layers, hintedBytes },
  });

Deno.test("what a pack brought is read or not, and what was waited for is told of all layers", () => {
  const { pack, lied, workload, order } = figures([
    layer({ arrivedBytes: 900, readBytes: 500, lateReads: 1, lateBytes: 40 }),
    layer({ arrivedBytes: 100, readBytes: 100, lateReads: 2, lateBytes: 60 }),
  ]);
  assert.deepEqual(pack, {
    ...{ broughtBytes: 1000, hitBytes: 600, wastedBytes: 400 },
    ...{ lateBytes: 100, lateReads: 3 },
  });
  assert.deepEqual([lied, workload, order], [false, "web", DIGEST]);
  assert.equal(figures([layer({}), layer({}, 0, true)]).lied, true);
});

Deno.test("spans that were fetched for an order are wasted as far as anything ahead was not read", () => {
  assert.deepEqual(figures([layer({}, 300), layer({}, 50)], 1000).spans, {
    ...{ broughtBytes: 1000, hitBytes: 650, wastedBytes: 350 },
  });
  const { spans } = figures([layer({}, 5000)], 1000);
  assert.deepEqual(spans, {
    ...{ broughtBytes: 1000, hitBytes: 0, wastedBytes: 1000 },
  });
});
