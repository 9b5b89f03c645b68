import { stringify } from "smol-toml";
import type { Config } from "./config.ts";
import { KEYS } from "./keys.ts";

/** The [http] table is written in the existing daemon's spelling. */
const HTTP_SPELLING: Readonly<Record<string, string>> = {
  dialtimeoutmsec: "DialTimeoutMsec",
  responseheadertimeoutmsec: "ResponseHeaderTimeoutMsec",
  requesttimeoutmsec: "RequestTimeoutMsec",
  maxretries: "MaxRetries",
  minwaitmsec: "MinWaitMsec",
  maxwaitmsec: "MaxWaitMsec",
};

/** A key of `KEYS` as the existing daemon spells it. */
export function configKeyName(key: string): string {
  const [table, name] = key.split(".");
  if (table !== "http" || name === undefined) return key;
  return `http.${HTTP_SPELLING[name] ?? name}`;
}

/**
 * The configuration as TOML that `parseConfig` reads back to the same value. A key without effect says so, and
 * why, in a comment.
 */
export function dumpConfig(config: Config): string {
  const http = Object.fromEntries(
    Object.entries(config.http).map((
      [key, value],
    ) => [HTTP_SPELLING[key] ?? key, value]),
  );
  let table = "";
  const lines = stringify({ ...config, http }).trimEnd().split("\n")
    .map((line) => {
      const [, header] = line.match(/^\[([\w.]+)\]$/) ?? [];
      if (header !== undefined) table = `${header}.`;
      const [, key] = line.match(/^(\w+) = /) ?? [];
      const unused = key && KEYS[`${table}${key}`.toLowerCase()]?.unused;
      return unused ? `${line} # no effect: ${unused}` : line;
    });
  return `${lines.join("\n")}\n`;
}
