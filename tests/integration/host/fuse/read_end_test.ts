import assert from "node:assert/strict";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE, python } from "./support.ts";

/** Lengths of reads around the end, through the page cache and past it. */
const READ = `
import mmap, os, sys
size = int(sys.argv[2])
for flags in (0, os.O_DIRECT):
    fd = os.open(sys.argv[1], os.O_RDONLY | flags)
    out = []
    for offset in (0, size - 1, size, size + 1, size + 4096, 1 << 40):
        offset = offset // 4096 * 4096 if flags else offset
        buffer = mmap.mmap(-1, 2 << 20)
        out.append(os.preadv(fd, [buffer], offset))
    print(*out)
`;

Deno.test({
  name: "a read past the end gives nothing, one across it gives what there is",
  ...LOOSE,
  async fn() {
    const size = 3 * SPAN_BYTES + 100;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve("fuse", entries, data);
    const [cached, direct] =
      (await python(READ, `${layer.directory}/file`, `${size}`)).split("\n");
    assert.equal(cached, `${size} 1 0 0 0 0`);
    assert.equal(direct, `${size} 100 100 100 0 0`);
  },
});
