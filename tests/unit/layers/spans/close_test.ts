import assert from "node:assert/strict";
import { closeFd, fileSize, O, openFd } from "../../../../lib/host/os/mod.ts";
import { noiseLayer, serve } from "./support.ts";

Deno.test("a descriptor that is closed after the reader gets no bytes of the layer", async () => {
  const layer = noiseLayer(100);
  // On a busy machine all may be here before the reader is closed: then once more.
  for (let tries = 0; !await closesInTheMiddle(layer); tries++) {
    assert.ok(tries < 20, "the reader is never closed while Workers write");
  }
});

/** @returns false when there was nothing left to do at the moment of closing. */
async function closesInTheMiddle(
  layer: ReturnType<typeof noiseLayer>,
): Promise<boolean> {
  const folder = Deno.makeTempDirSync();
  const { reader, map, pool, dataFd } = serve(layer, { workers: 2, folder });
  const count = layer.ztoc.spanDigests.length;
  try {
    const all = reader.ensureSpans(
      0,
      count - 1,
      "demand",
      AbortSignal.timeout(20_000),
    );
    all.catch(() => {}); // looked at below
    await reader.ensureSpans(0, 0, "demand", AbortSignal.timeout(20_000));
    await reader.close(); // while Workers write
    if (map.presentCount === count) return false;
    await assert.rejects(all, /no longer served/);
    closeFd(dataFd);
    const other = openFd(`${folder}/other`, O.RDWR | O.CREAT);
    assert.equal(other, dataFd, "the number is used again");
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(fileSize(other), 0);
    closeFd(other);
    return true;
  } finally {
    map[Symbol.dispose]();
    pool[Symbol.dispose]();
    Deno.removeSync(folder, { recursive: true });
  }
}
