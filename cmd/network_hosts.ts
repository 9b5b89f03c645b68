/** `[network] hosts` of the daemon's configuration, which holds for commands, too. @module */
import type { Line } from "./grants.ts";

/** Where the configuration is. */
export function configPath(line: Line): string {
  return line.value("config") ?? line.env("SOCI_SNAPSHOTTER_CONFIG") ??
    "/etc/soci-snapshotter-grpc/config.toml";
}

/**
 * The only hosts that a command asks; empty: any. A file that says nothing of networks is not parsed: every command
 * would wait for that.
 * @throws ConfigError if a file that does cannot be used
 */
export async function networkHosts(line: Line): Promise<readonly string[]> {
  const path = configPath(line);
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch {
    return []; // it is not there, or not for this user, who can name another one
  }
  if (!/\bnetwork\b/i.test(text)) return [];
  const { loadConfig } = await import("../lib/config/mod.ts");
  return loadConfig(path).config.network.hosts;
}
