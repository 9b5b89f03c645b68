import assert from "node:assert/strict";
import {
  EMPTY_CONFIG,
  EMPTY_CONFIG_DIGEST,
} from "../../../../lib/formats/soci/mod.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";

Deno.test("the digest of the empty configuration is that of its bytes", () => {
  assert.equal(EMPTY_CONFIG_DIGEST, sha256(EMPTY_CONFIG));
});
