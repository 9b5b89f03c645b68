import { stringify } from "smol-toml";
import type { Config } from "./config.ts";

/** The [http] table is written in the existing daemon's spelling. */
const HTTP_SPELLING: Readonly<Record<string, string>> = {
  dialtimeoutmsec: "DialTimeoutMsec",
  responseheadertimeoutmsec: "ResponseHeaderTimeoutMsec",
  requesttimeoutmsec: "RequestTimeoutMsec",
  maxretries: "MaxRetries",
  minwaitmsec: "MinWaitMsec",
  maxwaitmsec: "MaxWaitMsec",
};

/** The configuration as TOML that `parseConfig` reads back to the same value. */
export function dumpConfig(config: Config): string {
  const http = Object.fromEntries(
    Object.entries(config.http).map((
      [key, value],
    ) => [HTTP_SPELLING[key] ?? key, value]),
  );
  return `${stringify({ ...config, http }).trimEnd()}\n`;
}
