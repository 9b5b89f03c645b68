/** The flags of every subcommand that talks to a registry. @module */
import type { Config, MirrorConfig } from "../lib/config/mod.ts";
import {
  boundCredentials,
  type CredentialStore,
  dockerCredentials,
  firstCredentials,
  hostsDir,
  type Mirror,
  passwordCredential,
  RegistryClient,
  type RegistryClientOptions,
} from "../lib/remote/registry/mod.ts";
import { DEFAULT_HOSTS_DIRS } from "./registry_needs.ts";
import { askSecret } from "./ask_secret.ts";
import { UsageError } from "./command.ts";
import { registryNetwork } from "./network.ts";

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
  --hosts-dir DIRS      mirrors, certificates and headers of hosts, as containerd's hosts.toml; several
                        with : or , between them (default ${DEFAULT_HOSTS_DIRS})`;

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
 * @param config gives the values that no flag sets; asked again with each request.
 * @throws UsageError
 */
export function clientWith(
  credentials: CredentialStore,
  values: Omit<RegistryValues, "user" | "refresh">,
  config?: () => Config,
): RegistryClient {
  const network = registryNetwork(
    config && (() => config().network.hosts),
  );
  const options: RegistryClientOptions = {
    credentials,
    network,
    ...(values["plain-http"] === true && { plainHttp: true }),
    ...(values["skip-verify"] === true && { skipVerify: true }),
    ...(values.tlscacert !== undefined && {
      caCerts: [readPem("--tlscacert", values.tlscacert)],
    }),
    ...clientCertificate(values),
    hosts: hostsOf(() =>
      values["hosts-dir"] ?? config?.().resolver.config_path ??
        DEFAULT_HOSTS_DIRS
    ),
  };
  return new RegistryClient(
    config === undefined ? options : Object.defineProperties(
      options,
      Object.getOwnPropertyDescriptors(configured(config)),
    ),
  );
}

/** The hosts of folders that a reloaded configuration may change. */
function hostsOf(
  folders: () => string,
): NonNullable<RegistryClientOptions["hosts"]> {
  let read = "";
  let hosts = hostsDir(read);
  return (host) => {
    const now = folders();
    if (now !== read) hosts = hostsDir(read = now);
    return hosts(host);
  };
}

/** What the configuration says, read whenever it is needed. */
function configured(config: () => Config): RegistryClientOptions {
  return {
    mirrors: (host) =>
      (config().resolver.host[host]?.mirrors ?? []).map(mirrorOf),
    get retry() {
      const { maxretries, minwaitmsec, maxwaitmsec } = config().http;
      return {
        retries: maxretries,
        minWaitMs: minwaitmsec,
        maxWaitMs: maxwaitmsec,
      };
    },
    get rangeRetry() {
      const { max_retries, min_wait_msec, max_wait_msec } = config().blob;
      return {
        retries: max_retries,
        minWaitMs: min_wait_msec,
        maxWaitMs: max_wait_msec,
      };
    },
    get timeouts() {
      const { http, blob } = config();
      return {
        dialMs: http.dialtimeoutmsec,
        headersMs: http.responseheadertimeoutmsec,
        requestMs: http.requesttimeoutmsec,
        rangeMs: blob.fetching_timeout_sec * 1000,
      };
    },
    get logins() {
      const { auth_client_ttl_sec, enable_auth_client_sharing } =
        config().resolver;
      return {
        ttlMs: orNever(auth_client_ttl_sec),
        shared: enable_auth_client_sharing,
      };
    },
  };
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

/** Seconds as milliseconds; below 0: never. */
function orNever(seconds: number): number {
  return seconds < 0 ? Infinity : seconds * 1000;
}

function mirrorOf(
  { host, insecure, request_timeout_sec }: MirrorConfig,
): Mirror {
  return {
    ...(request_timeout_sec !== 0 &&
      { requestMs: orNever(request_timeout_sec) }),
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
