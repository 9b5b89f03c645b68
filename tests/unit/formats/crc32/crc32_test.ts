import assert from "node:assert/strict";
import { crc32 } from "../../../../lib/formats/crc32/mod.ts";

Deno.test("crc32 gives the check value of CRC-32, whole and in pieces", () => {
  const bytes = new TextEncoder().encode("123456789");
  assert.equal(crc32(bytes), 0xcbf4_3926);
  const before = crc32(bytes.subarray(0, 4));
  assert.equal(crc32(bytes.subarray(4), before), 0xcbf4_3926);
});
