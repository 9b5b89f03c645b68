import assert from "node:assert/strict";
import { Layer } from "../../layers/faces/layer.ts";
import { dropCaches, LOOSE, python } from "./support.ts";

const COUNT = 20_000;
const LIST = `
import os, sys
names = [e.name for e in os.scandir(sys.argv[1])]
print(len(names), len(set(names)), sum(os.lstat(sys.argv[1] + "/" + n).st_size for n in names))
`;

Deno.test({
  name: "a directory of twenty thousand entries lists each of them once",
  ...LOOSE,
  async fn() {
    const entries = [
      { name: "d/", type: "dir" as const },
      ...Array.from({ length: COUNT }, (_, i) => ({
        name: `d/${"n".repeat(i % 200)}${i}`,
        offset: 512,
        size: i % 7,
      })),
    ];
    await using layer = await Layer.serve(
      "fuse",
      entries,
      new Uint8Array(1024),
      { workersPerMount: 2 },
    );
    const sizes = entries.reduce(
      (sum, entry) => sum + ("size" in entry ? entry.size : 0),
      0,
    );
    for (let round = 0; round < 2; round++) {
      assert.equal(
        await python(LIST, `${layer.directory}/d`),
        `${COUNT} ${COUNT} ${sizes}`,
      );
      await dropCaches(layer.directory);
    }
  },
});
