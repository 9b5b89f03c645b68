/** The flags of every subcommand that talks to a registry. @module */
import type { Config } from "../lib/config/mod.ts";
import {
  boundCredentials,
  type CredentialStore,
  dockerCredentials,
  firstCredentials,
  hostsDir,
  type Mirror,
  passwordCredential,
  RegistryClient,
} from "../lib/remote/registry/mod.ts";
import { askSecret } from "./ask_secret.ts";
import { UsageError } from "./command.ts";

/** For `parseCommandLine`: how registries are reached. */
export const CONNECTION_OPTIONS = {
  "plain-http": { type: "boolean", default: false },
  "skip-verify": { type: "boolean", short: "k", default: false },
  tlscacert: { type: "string" },
  tlscert: { type: "string" },
  tlskey: { type: "string" },
  "hosts-dir": { type: "string" },
} as const;

/** For `parseCommandLine`, of commands that talk to one registry. */
export const REGISTRY_OPTIONS = {
  user: { type: "string", short: "u" },
  refresh: { type: "string" },
  ...CONNECTION_OPTIONS,
} as const;

/** For `--help`. */
export const CONNECTION_HELP =
  `  --plain-http          speak HTTP (default for loopback hosts, HTTPS for others)
  -k, --skip-verify     take any TLS certificate (for tests: anyone on the way can change all)
  --tlscacert FILE      trust the certificates in this PEM file as well
  --tlscert FILE        our own certificate, PEM, where the registry asks for one
  --tlskey FILE         its key
  --hosts-dir DIR       mirrors, certificates and headers of hosts, as containerd's hosts.toml`;

/** For `--help`, of commands that talk to one registry. */
export const REGISTRY_HELP =
  `  -u, --user NAME:PASS  log in at the image's registry, and nowhere else (default: Docker's
                        config.json and its helpers); NAME alone asks for the password on a terminal
  --refresh TOKEN       a refresh token for the registry's token server
${CONNECTION_HELP}`;

/** The values of {@link REGISTRY_OPTIONS}. */
export interface RegistryValues {
  readonly "plain-http"?: boolean | undefined;
  readonly user?: string | undefined;
  readonly refresh?: string | undefined;
  readonly "skip-verify"?: boolean | undefined;
  readonly tlscacert?: string | undefined;
  readonly tlscert?: string | undefined;
  readonly tlskey?: string | undefined;
  readonly "hosts-dir"?: string | undefined;
}

/**
 * A client of one registry, as the flags say. A login from the flags is sent to that registry alone.
 * @param host the registry, as references name it.
 * @throws UsageError
 */
export function registryClient(
  values: RegistryValues,
  host: string,
): RegistryClient {
  return clientWith(credentials(values, host), values);
}

/**
 * A client as the flags and the daemon's configuration say.
 * @param config gives the values that no flag sets.
 * @throws UsageError
 */
export function clientWith(
  credentials: CredentialStore,
  values: Omit<RegistryValues, "user" | "refresh">,
  config?: Config,
): RegistryClient {
  return new RegistryClient({
    credentials,
    ...(config !== undefined && {
      mirrors: (host: string) =>
        (config.resolver.host[host]?.mirrors ?? []).map(mirrorOf),
      retry: {
        retries: config.http.maxretries,
        minWaitMs: config.http.minwaitmsec,
        maxWaitMs: config.http.maxwaitmsec,
      },
      rangeRetry: {
        retries: config.blob.max_retries,
        minWaitMs: config.blob.min_wait_msec,
        maxWaitMs: config.blob.max_wait_msec,
      },
      timeouts: { headersMs: config.http.responseheadertimeoutmsec },
    }),
    ...(values["plain-http"] === true && { plainHttp: true }),
    ...(values["skip-verify"] === true && { skipVerify: true }),
    ...(values.tlscacert !== undefined && {
      caCerts: [readPem("--tlscacert", values.tlscacert)],
    }),
    ...clientCertificate(values),
    ...(values["hosts-dir"] !== undefined &&
      { hosts: hostsDir(values["hosts-dir"]) }),
  });
}

function credentials(
  { user, refresh }: RegistryValues,
  host: string,
): CredentialStore {
  const docker = dockerCredentials();
  const login = (username: string, secret: string) =>
    firstCredentials([
      boundCredentials([{ host, username, secret: () => secret }]),
      docker,
    ]);
  if (refresh !== undefined) return login("", refresh);
  if (user === undefined) return docker;
  const colon = user.indexOf(":");
  const name = colon < 0 ? user : user.slice(0, colon);
  const password = colon < 0 ? passwordOf(name) : user.slice(colon + 1);
  if (name === "" || passwordCredential(name, password) === null) {
    throw new UsageError("--user must be name:password");
  }
  return login(name, password);
}

function passwordOf(name: string): string {
  if (!Deno.stdin.isTerminal()) {
    throw new UsageError("--user must be name:password");
  }
  return askSecret(`Password of ${name}: `);
}

function clientCertificate({ tlscert, tlskey }: RegistryValues) {
  if (tlscert === undefined && tlskey === undefined) return {};
  if (tlscert === undefined || tlskey === undefined) {
    throw new UsageError("--tlscert and --tlskey go together");
  }
  return {
    clientCert: {
      cert: readPem("--tlscert", tlscert),
      key: readPem("--tlskey", tlskey),
    },
  };
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

function readPem(flag: string, path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw new UsageError(`${flag} ${path} cannot be read`, { cause });
  }
}
