/** Serves layers of many files and prints the bytes of objects kept for each, once all is done. @module */
import { mountHelperArguments } from "../../../../cmd/program.ts";
import { LayerStore } from "../../../../lib/layers/serving/mod.ts";
import { encodeZtoc, ZtocBuilder } from "../../../../lib/formats/ztoc/mod.ts";
import { layerBlob, TarBuilder } from "../../../support/images/mod.ts";

const LAYERS = 4;
const FILES = 10_000;

function ztocOf(layer: number) {
  const tar = new TarBuilder().dir("d");
  for (let i = 0; i < FILES; i++) {
    tar.file(`d/some-name-of-layer-${layer}-${i}`, "");
  }
  const { bytes, digest } = layerBlob(tar);
  const builder = new ZtocBuilder({ compression: "gzip", spanSize: 2 ** 22 });
  builder.push(bytes);
  return { digest, bytes: encodeZtoc(builder.finish().ztoc) };
}

const { gc } = globalThis as unknown as { gc(): void };
async function heapBytes(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const root = await Deno.makeTempDir({ prefix: "soci-deno-retained-" });
const store = await LayerStore.open({
  root,
  mountDirectory: `${root}/fs`,
  mountHelper: mountHelperArguments(),
});
async function serve(layer: number) {
  const { digest, bytes } = ztocOf(layer);
  const source = {
    host: "none",
    fetch: () => Promise.reject(new Error("nothing is fetched here")),
  };
  await (await store.add(digest, bytes, source, null)).shown;
}
await serve(0); // code and caches
const before = await heapBytes();
for (let layer = 1; layer <= LAYERS; layer++) await serve(layer);
console.log(Math.round((await heapBytes() - before) / LAYERS));
await store[Symbol.asyncDispose]();
await Deno.remove(root, { recursive: true });
Deno.exit(0); // a Worker blocked in its read would hold the process
