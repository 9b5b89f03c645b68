/** The flags of every subcommand that talks to a registry. @module */
import type { Config } from "../lib/config/mod.ts";
import {
  dockerCredentials,
  firstCredentials,
  type Mirror,
  RegistryClient,
  staticCredentials,
} from "../lib/registry/mod.ts";
import { UsageError } from "./command.ts";

/** For `parseCommandLine`. */
export const REGISTRY_OPTIONS = {
  "plain-http": { type: "boolean", default: false },
  user: { type: "string", short: "u" },
  tlscacert: { type: "string" },
} as const;

/** For `--help`. */
export const REGISTRY_HELP =
  `  --plain-http          speak HTTP (default for loopback hosts, HTTPS for others)
  -u, --user NAME:PASS  log in (default: Docker's config.json and its helpers)
  --tlscacert FILE      trust the certificates in this PEM file as well`;

/** A client as the flags, and for the daemon its configuration, say. @throws UsageError */
export function registryClient(values: {
  readonly "plain-http"?: boolean | undefined;
  readonly user?: string | undefined;
  readonly tlscacert?: string | undefined;
}, config?: Config): RegistryClient {
  const docker = dockerCredentials();
  let credentials = docker;
  if (values.user !== undefined) {
    const colon = values.user.indexOf(":");
    if (colon < 1) throw new UsageError("--user must be name:password");
    credentials = firstCredentials([
      staticCredentials(
        values.user.slice(0, colon),
        values.user.slice(colon + 1),
      ),
      docker,
    ]);
  }
  return new RegistryClient({
    credentials,
    ...(config !== undefined && {
      mirrors: (host: string) =>
        (config.resolver.host[host]?.mirrors ?? []).map(mirrorOf),
      retry: {
        retries: config.blob.max_retries,
        minWaitMs: config.blob.min_wait_msec,
        maxWaitMs: config.blob.max_wait_msec,
      },
      timeouts: { headersMs: config.http.responseheadertimeoutmsec },
    }),
    ...(values["plain-http"] === true && { plainHttp: true }),
    ...(values.tlscacert !== undefined && {
      caCerts: [readCertificates(values.tlscacert)],
    }),
  });
}

function mirrorOf(
  { host, insecure }: { readonly host: string; readonly insecure: boolean },
): Mirror {
  return {
    url: /^https?:\/\//.test(host)
      ? host
      : `${insecure ? "http" : "https"}://${host}`,
  };
}

function readCertificates(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new UsageError(`--tlscacert ${path} cannot be read`, { cause });
  }
}
