/** Keeps SIGHUP from ending the daemon. Loaded first, so that it is in force from the start. @module */
import { logger } from "../lib/telemetry/mod.ts";

let handle = () =>
  logger("serve").info("SIGHUP: the configuration is being read as it is");

/** From now on SIGHUP does not end this process. */
export function surviveHangups(): void {
  Deno.addSignalListener("SIGHUP", () => handle());
}

/** Says what SIGHUP does from now on. */
export function onHangup(handler: () => void): void {
  handle = handler;
}
