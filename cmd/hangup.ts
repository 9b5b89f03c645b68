/** What a hangup does to the daemon. Loaded before all else, so that none ends it. @module */
import { logger } from "../lib/telemetry/mod.ts";

/** From here on SIGHUP ends this process no more. */
export function surviveHangups(): void {
  Deno.addSignalListener("SIGHUP", () => {
    logger("serve").info(
      "SIGHUP: nothing is reloaded; flags and configuration are read at the start, logins whenever a registry asks",
    );
  });
}
