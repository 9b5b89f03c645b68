import { setImmediate } from "node:timers/promises";
import { type Digest, sha256InSteps } from "../../formats/oci/mod.ts";

/** The digest of a ztoc, which may be large: others have turns of the main thread meanwhile. */
export function ztocDigestOf(bytes: Uint8Array): Promise<Digest> {
  return sha256InSteps(bytes, () => setImmediate());
}
