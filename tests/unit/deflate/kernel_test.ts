import assert from "node:assert/strict";
import { compileKernel } from "../../../lib/deflate/build.ts";

Deno.test("kernel.wasm is what its source compiles to, byte for byte", async () => {
  const committed = await Deno.readFile(
    new URL("../../../lib/deflate/kernel.wasm", import.meta.url),
  );
  assert.deepEqual(
    new Uint8Array(await compileKernel()),
    committed,
    "run `deno task build:kernel`",
  );
});
