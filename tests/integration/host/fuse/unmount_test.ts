import assert from "node:assert/strict";
import { pause, tryRun } from "../../../support/host/mod.ts";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE } from "./support.ts";

const BUSY = `
import os, sys, threading, time
d = sys.argv[1]
def work(n):
    end = time.time() + 20
    while time.time() < end:
        try:
            os.lstat(f"{d}/missing-{n}-{time.time_ns()}")
        except FileNotFoundError: pass
        fd = os.open(d + "/file", os.O_RDONLY | os.O_DIRECT)
        import mmap
        os.preadv(fd, [mmap.mmap(-1, 1 << 20)], 0)
        os.close(fd)
def guarded(n):
    try: work(n)
    except OSError: pass
threads = [threading.Thread(target=guarded, args=(n,)) for n in range(4)]
for t in threads: t.start()
print("busy", flush=True)
for t in threads: t.join()
`;

Deno.test({
  name:
    "unmounting under load ends, and the load gets errors instead of waiting",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(4 * SPAN_BYTES);
    const layer = await Layer.serve("fuse", entries, data, {
      workersPerMount: 2,
    });
    const load = tryRun("/usr/bin/python3", ["-c", BUSY, layer.directory], {
      timeoutMs: 40_000,
    });
    await pause(1500);
    const began = performance.now();
    await layer[Symbol.asyncDispose](); // also sees that no mount is left
    assert.ok(performance.now() - began < 15_000);
    assert.equal((await load).stdout, "busy\n");
    assert.ok(performance.now() - began < 18_000, "the load ended by itself");
  },
});
