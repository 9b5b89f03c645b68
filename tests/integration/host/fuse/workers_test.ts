import assert from "node:assert/strict";
import { pause } from "../../../support/host/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE, python } from "./support.ts";

/** Reads at many places at once, without the page cache, and compares with a second copy. */
const COMPARE = `
import hashlib, mmap, os, random, sys, threading
path, copy, wrong = sys.argv[1], open(sys.argv[2], "rb").read(), []
def work(seed):
    r = random.Random(seed)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 1 << 20)
    for _ in range(150):
        size = r.choice([4096, 65536, 131072, 1 << 20])
        offset = r.randrange(0, len(copy) // 4096) * 4096
        n = os.preadv(fd, [memoryview(buffer)[:size]], offset)
        if buffer[:n] != copy[offset:offset + size]: wrong.append((offset, size, n))
threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(wrong)
`;

for (const workersPerMount of [1, 2, 3]) {
  Deno.test({
    name:
      `${workersPerMount} Worker(s) on one descriptor give each reader its own bytes`,
    ...LOOSE,
    async fn() {
      const size = 8 * SPAN_BYTES + 333;
      const { entries, data } = oneFile(size);
      await using layer = await Layer.serve("fuse", entries, data, {
        workersPerMount,
      });
      const copy = `${layer.folder}/copy`;
      await Deno.writeFile(copy, data.subarray(512, 512 + size));
      assert.equal(
        await python(COMPARE, `${layer.directory}/file`, copy),
        "[]",
      );
    },
  });
}

/** One thread for each waiting read; prints how long a read of what is here takes meanwhile. */
const WAIT = `
import os, sys, threading, time
path, count = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
def wait(i): os.pread(fd, 100, (1 << 20) + i * 4096)
threads = [threading.Thread(target=wait, args=(i,), daemon=True) for i in range(count)]
for t in threads: t.start()
time.sleep(2)
began = time.perf_counter()
os.pread(fd, 4096, 4096)
print(int((time.perf_counter() - began) * 1000), flush=True)
os._exit(0)
`;

Deno.test({
  name:
    "six hundred reads that wait for the network hold up no read of what is here",
  ...LOOSE,
  async fn() {
    const size = 16 * SPAN_BYTES;
    const { entries, data } = oneFile(size);
    await using layer = await Layer.serve("fuse", entries, data);
    const path = `${layer.directory}/file`;
    await python("import sys; open(sys.argv[1], 'rb', 0).read(8192)", path);
    layer.presence.fill(0, 1); // all but the first span
    layer.gate = pause(30_000);
    const ms = Number(await python(WAIT, path, "600"));
    assert.ok(ms < 5000, `${ms} ms`);
    assert.ok(layer.asked > 500, `${layer.asked} reads waited`);
  },
});
