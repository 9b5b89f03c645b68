/** Keeps SIGHUP from ending the daemon. Loaded first, so that it is in force from the start. @module */
import { logger } from "../lib/telemetry/mod.ts";

/** From now on SIGHUP does not end this process. */
export function surviveHangups(): void {
  Deno.addSignalListener("SIGHUP", () => {
    logger("serve").info(
      "SIGHUP: nothing is reloaded; flags and configuration are read at the start, logins whenever a registry asks",
    );
  });
}
