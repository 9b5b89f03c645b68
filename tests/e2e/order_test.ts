import assert from "node:assert/strict";
import {
  decodeRecording,
  type Recording,
} from "../../lib/formats/order/mod.ts";
import { Intervals } from "../../lib/images/order/intervals.ts";
import { programImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

/** Runs `record`; what it wrote. */
async function record(
  host: LazyHost,
  image: string,
  output: string,
  ...flags: string[]
): Promise<Recording> {
  const { code, stderr } = await sociDeno(
    ...["record", "--until-exit", "--output", output],
    ...["--address", host.containerd.address, "--root", host.root],
    ...flags,
    image,
  );
  assert.equal(code, 0, `${stderr}\n${host.logs()}`);
  return decodeRecording(await Deno.readFile(output));
}

function waits({ touches }: Recording): number {
  return touches.filter(({ waitedMs }) => waitedMs > 0).length;
}

/** Bytes that one recording touched and another did not, and all it touched. */
function uncovered(
  by: Recording,
  of: Recording,
): [missing: number, all: number] {
  const seen = new Map(by.layers.map((layer) => [layer, new Intervals()]));
  for (const { layer, offset, length } of by.touches) {
    seen.get(by.layers[layer]!)!.add(offset, offset + length);
  }
  let [missing, all] = [0, 0];
  for (const { layer, offset, length } of of.touches) {
    all += length;
    missing += length -
      (seen.get(of.layers[layer]!)?.covered(offset, offset + length) ?? 0);
  }
  return [missing, all];
}

Deno.test("a start is recorded page by page on both faces, and covers what the next one reads", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", programImage());
  const image = `${registry.host}/app:1`;
  await buildIndex("--min-layer-size", "0", image);
  for (const face of ["fuse", "erofs"] as const) {
    await t.step(face, async () => {
      await using host = await LazyHost.start({ face });
      const files = [1, 2].map((n) => `${host.folder}/${n}.recording.json`);
      const first = await record(host, image, files[0]!);
      assert.equal(first.layers.length, 4);
      const pages = first.touches.filter(({ length }) => length <= 4096);
      assert(pages.length > first.touches.length * 0.8, "read ahead");
      const second = await record(host, image, files[1]!, "--no-pull");
      assert(waits(second) < waits(first), "the first one fetched nothing");
      const [missing, all] = uncovered(first, second);
      assert(all > 2 ** 20, `nothing was read again: ${all} bytes`);
      assert(missing <= all / 100, `${missing} of ${all} bytes`);
    });
  }
});
