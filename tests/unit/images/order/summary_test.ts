import assert from "node:assert/strict";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import type { Recording } from "../../../../lib/formats/order/mod.ts";
import type { ZtocEntry } from "../../../../lib/formats/ztoc/mod.ts";
import { summaryOf, timelineSvg } from "../../../../lib/images/order/mod.ts";

const digest = sha256(Uint8Array.of(1));
const EVIL = "tmp/</text><script>alert(1)</script>";

function entry(name: string, offset: number, size: number, mode = 0o644) {
  return {
    ...{
      name: new TextEncoder().encode(name),
      type: "reg",
      offset,
      size,
      mode,
    },
  } as unknown as ZtocEntry;
}

const ztoc = {
  entries: [
    entry("./usr/lib/libc.so.6", 512, 9000),
    entry("/usr/bin/app", 10_240, 5000, 0o755),
    entry(EVIL, 20_480, 5000),
  ],
};

const recording: Recording = {
  image: "registry.example/a&b:1",
  workload: "default",
  platform: "linux/amd64",
  runs: 1,
  layers: [digest],
  touches: [
    [512, 4096, 1, 9],
    [10_240, 4096, 2, 0],
    [4608, 4096, 3, 0],
    [20_480, 10, 4, 0],
    [100_000, 10, 5, 0],
  ].map(([offset, length, ms, waitedMs]) => ({
    ...{ layer: 0, offset: offset!, length: length!, ms: ms! },
    ...{ waitedMs: waitedMs!, runs: 1 },
  })),
};

Deno.test("a recording is told by file, layer and class", () => {
  const summary = summaryOf(recording, [ztoc]);
  assert.deepEqual(
    summary.files.map((
      file,
    ) => [file.path, file.class, file.bytes, file.ranges]),
    [
      ["usr/lib/libc.so.6", "library", 8192, 2],
      ["usr/bin/app", "program", 4096, 1],
      [EVIL, "data", 10, 1],
      ["", "unknown", 10, 1],
    ],
  );
  const [libc] = summary.files;
  assert.deepEqual([libc!.firstMs, libc!.lastMs, libc!.waitedMs], [1, 3, 9]);
  assert.deepEqual(summary.layers, [
    { name: digest, files: 3, ranges: 5, bytes: 12_308 },
  ]);
  assert.deepEqual(summary.classes.map(({ name }) => name), [
    ...["library", "program", "data", "unknown"],
  ]);
  assert.deepEqual([summary.bytes, summary.ranges, summary.waits], [
    12_308,
    5,
    1,
  ]);
});

Deno.test("without a ztoc nothing is known of files", () => {
  const { files } = summaryOf(recording, [null]);
  assert.deepEqual(files.map(({ path, ranges }) => [path, ranges]), [["", 5]]);
});

Deno.test("the drawing has a mark a touch, one for those too near to tell apart, and no markup of a file's name", () => {
  const svg = timelineSvg(recording, summaryOf(recording, [ztoc]));
  const marks = (text: string) => text.match(/<rect x=/g)?.length;
  assert.equal(marks(svg), recording.touches.length);
  assert.match(svg, /usr\/bin\/app<\/text>.*4\.1 kB/);
  assert.doesNotMatch(svg, /all other files/);
  const near = [0, 0.001, 0.002, 500].map((ms, i) => ({
    ...recording.touches[1]!,
    ...{ offset: 10_240 + i, length: 1, ms },
  }));
  const many = { ...recording, touches: near };
  const joined = timelineSvg(many, summaryOf(many, [ztoc]));
  assert.equal(marks(joined), 2);
  assert.match(joined, /usr\/bin\/app: 3 ranges, 3 bytes, 0 ms/);
  assert.match(joined, />100<\/text>.*>500<\/text>/s, "round times");
  assert.doesNotMatch(svg, /<script/);
  assert.match(svg, /a&#38;b:1/);
  assert.match(svg, /waited 9 ms/);
});
