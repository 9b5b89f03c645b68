import assert from "node:assert/strict";
import { freeBuffer } from "../../../../lib/host/memory/mod.ts";

Deno.test("a freed buffer holds nothing any more, and may be freed again", () => {
  const bytes = new Uint8Array(1000);
  freeBuffer(bytes.buffer);
  assert.equal(bytes.length, 0);
  freeBuffer(bytes.buffer);
  assert.ok(bytes.buffer.detached);
});
