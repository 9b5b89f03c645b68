import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import type { Recording } from "../../../../lib/formats/order/mod.ts";
import type { ZtocEntry } from "../../../../lib/formats/ztoc/mod.ts";
import {
  carriedOver,
  type CarryLayer,
} from "../../../../lib/images/order/carry_over.ts";

const digest = (byte: number) => sha256(Uint8Array.of(byte));
const BASE = digest(1);
const OLD = digest(2);
const NEW = digest(3);
const TOP = digest(4);

function entry(name: string, offset: number, size: number, modTime = "t1") {
  return {
    ...{ name: new TextEncoder().encode(name), type: "reg" },
    ...{ offset, size, modTime },
  } as unknown as ZtocEntry;
}

const OLD_FILES: CarryLayer = {
  digest: OLD,
  entries: [
    entry("./app/same", 512, 9000),
    entry("app/touched", 10_240, 5000),
    entry("app/longer", 20_480, 5000),
    entry("app/hidden", 30_720, 700),
    entry("app/gone", 40_960, 700),
  ],
};
const IMAGE: readonly CarryLayer[] = [
  { digest: BASE, entries: [entry("lib/libc", 512, 9000)] },
  {
    digest: NEW,
    entries: [
      entry("app/new", 512, 100),
      entry("/app/same", 1536, 9000),
      entry("app/touched", 15_360, 5000, "t2"),
      entry("app/longer", 25_600, 5001),
      entry("app/hidden", 40_960, 700),
    ],
  },
  { digest: TOP, entries: [entry("app/hidden", 512, 3)] },
];

function recording(touches: readonly number[][]): Recording {
  return {
    ...{ image: "registry.example/app:1", workload: "default" },
    ...{ platform: "linux/amd64", runs: 1, layers: [OLD, BASE] },
    touches: touches.map(([layer, offset, length], ms) => ({
      ...{ layer: layer!, offset: offset!, length: length! },
      ...{ ms, waitedMs: 0, runs: 1 },
    })),
  };
}

Deno.test("files of equal path, size and time are found in another layer, and layers that stay are as they were", () => {
  const { layers, touches } = carriedOver(
    recording([[0, 512 + 4096, 4096], [1, 512, 4096], [0, 512 + 8192, 4096]]),
    [OLD_FILES],
    IMAGE,
  );
  assert.deepEqual(layers, [OLD, BASE, NEW]);
  assert.deepEqual(
    touches.map(({ layer, offset, length, ms }) => [layer, offset, length, ms]),
    [
      [2, 1536 + 4096, 4096, 0],
      [1, 512, 4096, 1],
      [2, 1536 + 8192, 1024, 2], // to the end of the file's last block
    ],
  );
});

Deno.test("files that may be others, are hidden or gone, and layers nobody knows carry nothing over", () => {
  const offsets = [10_240, 20_480, 30_720, 40_960, 60_000, 0];
  const all = recording(offsets.map((offset) => [0, offset, 512]));
  assert.deepEqual(carriedOver(all, [OLD_FILES], IMAGE).touches, []);
  assert.deepEqual(carriedOver(all, [], IMAGE).touches, []);
  const none = IMAGE.map(({ digest }) => ({ digest, entries: null }));
  assert.deepEqual(carriedOver(all, [OLD_FILES], none).touches, []);
});
