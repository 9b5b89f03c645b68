import assert from "node:assert/strict";
import { closeFd, fileSize, O, openFd } from "../../../lib/os/mod.ts";
import { noiseLayer, serve } from "./support.ts";

Deno.test("a descriptor that is closed after the reader gets no bytes of the layer", async () => {
  const layer = noiseLayer(100);
  const folder = Deno.makeTempDirSync();
  const served = serve(layer, { workers: 2, folder });
  const { reader, map, pool, dataFd } = served;
  try {
    const all = reader.ensureSpans(
      0,
      layer.ztoc.spanDigests.length - 1,
      "demand",
      AbortSignal.timeout(20_000),
    );
    all.catch(() => {}); // looked at below
    await reader.ensureSpans(0, 0, "demand", AbortSignal.timeout(20_000));
    await reader.close(); // while Workers write
    await assert.rejects(all, /no longer served/);
    assert.ok(map.presentCount < layer.ztoc.spanDigests.length);
    closeFd(dataFd);
    const other = openFd(`${folder}/other`, O.RDWR | O.CREAT);
    assert.equal(other, dataFd, "the number is used again");
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(fileSize(other), 0);
    closeFd(other);
  } finally {
    map[Symbol.dispose]();
    pool[Symbol.dispose]();
    Deno.removeSync(folder, { recursive: true });
  }
});
