/** The flags of every subcommand that talks to a registry. @module */
import {
  dockerCredentials,
  firstCredentials,
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

/** A client as the flags say. @throws UsageError */
export function registryClient(values: {
  readonly "plain-http"?: boolean | undefined;
  readonly user?: string | undefined;
  readonly tlscacert?: string | undefined;
}): RegistryClient {
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
    ...(values["plain-http"] === true && { plainHttp: true }),
    ...(values.tlscacert !== undefined && {
      caCerts: [readCertificates(values.tlscacert)],
    }),
  });
}

function readCertificates(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new UsageError(`--tlscacert ${path} cannot be read`, { cause });
  }
}
