import assert from "node:assert/strict";
import { compileKernel } from "../../../../tools/kernel.ts";
import { KERNEL_BASE64 } from "../../../../lib/formats/deflate/kernel.gen.ts";

Deno.test("kernel.gen.ts is what its source compiles to, byte for byte", async () => {
  assert.equal(
    (await compileKernel()).toBase64(),
    KERNEL_BASE64,
    "run `deno task build:kernel`",
  );
});
