/** The daemon's logins: each for one registry, no secret in an argument. @module */
import {
  CredentialError,
  type Login,
  parseHost,
  passwordCredential,
} from "../lib/remote/registry/mod.ts";
import { closeFd, OsError, readWholeFile } from "../lib/host/os/mod.ts";
import { askSecret } from "./ask_secret.ts";
import { UsageError } from "./command.ts";

/** For `parseCommandLine`. */
export const LOGIN_OPTIONS = {
  user: { type: "string", short: "u", multiple: true },
  "password-file": { type: "string", multiple: true },
  "password-fd": { type: "string", multiple: true },
  refresh: { type: "string" },
} as const;

/** For `--help`. */
export const LOGIN_HELP =
  `  -u, --user HOST=NAME  log in at this registry, and nowhere else (default: Docker's config.json and
                        its helpers); may be said for several. The password comes from one of the
                        next two, else from the terminal. No NAME: it is a refresh token
  --password-file [HOST=]FILE
                        its first line; read again whenever the registry asks
  --password-fd [HOST=]N
                        an open descriptor, read once`;

/** The values of {@link LOGIN_OPTIONS}. */
export interface LoginValues {
  readonly user?: string[] | undefined;
  readonly "password-file"?: string[] | undefined;
  readonly "password-fd"?: string[] | undefined;
  readonly refresh?: string | undefined;
}

const MAX_SECRET_BYTES = 64 * 1024;
const INSTEAD =
  "say --user HOST=NAME, and --password-file FILE or --password-fd N";

/** The logins that the daemon was given. */
export class Logins {
  /** For `boundCredentials`. */
  readonly all: readonly Login[];

  private constructor(all: readonly Login[]) {
    this.all = all;
  }

  /**
   * Reads descriptors, and asks on the terminal for secrets that are given nowhere else.
   * @throws UsageError, which quotes nothing that could be a secret.
   */
  static read(values: LoginValues): Logins {
    try {
      return Logins.#read(values);
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      throw new UsageError(error.message, { cause: error });
    }
  }

  static #read(values: LoginValues): Logins {
    if (values.refresh !== undefined) {
      throw new UsageError(
        "serve takes no token in its arguments: say --user HOST= and --password-file FILE",
      );
    }
    const names = new Map((values.user ?? []).map(parseUser));
    if (names.size < (values.user ?? []).length) {
      throw new UsageError("--user: two for one host");
    }
    const files = byHost("--password-file", values["password-file"], names);
    const fds = byHost("--password-fd", values["password-fd"], names);
    const all = [...names].map(([host, username]): Login => {
      const file = files.get(host);
      const fd = fds.get(host);
      if (file !== undefined && fd !== undefined) {
        throw new UsageError(`two passwords for ${host}`);
      }
      if (file !== undefined) {
        const secret = () => checked(host, secretIn(file));
        secret(); // fail now rather than at the first pull
        return { host, username, secret };
      }
      const secret = checked(
        host,
        fd === undefined ? fromTerminal(host, username) : fromDescriptor(fd),
      );
      return { host, username, secret: () => secret };
    });
    return new Logins(all);
  }
}

function parseUser(text: string): [host: string, name: string] {
  const equals = text.indexOf("=");
  const host = equals < 0 ? null : parseHost(text.slice(0, equals));
  const name = text.slice(equals + 1);
  if (host === null || name.includes(":")) {
    throw new UsageError(
      `serve takes no password in its arguments, and needs the host a login is for: ${INSTEAD}`,
    );
  }
  return [host, name];
}

/** The source of each host's secret; with a single host, the flag need not name it. */
function byHost(
  flag: string,
  texts: readonly string[] = [],
  names: ReadonlyMap<string, string>,
): Map<string, string> {
  const [only] = names.keys();
  const found = new Map<string, string>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    const said = parseHost(text.slice(0, Math.max(0, equals)));
    const named = said !== null && names.has(said);
    const host = named ? said : names.size === 1 ? only! : null;
    if (host === null) {
      throw new UsageError(
        names.size === 0
          ? `${flag}: ${INSTEAD}`
          : `${flag}: say of which --user, HOST=…`,
      );
    }
    if (found.has(host)) throw new UsageError(`${flag}: two for ${host}`);
    found.set(host, named ? text.slice(equals + 1) : text);
  }
  return found;
}

function fromTerminal(host: string, username: string): string {
  if (!Deno.stdin.isTerminal()) {
    throw new UsageError(
      `--user ${host}: the password is missing, and there is no terminal to ask on: ${INSTEAD}`,
    );
  }
  return askSecret(`Password of ${username || "the token"} at ${host}: `);
}

function fromDescriptor(text: string): string {
  const fd = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (fd < 0 || fd === 1 || fd === 2) {
    throw new UsageError("--password-fd takes the number of an open file");
  }
  const secret = secretIn(`/proc/self/fd/${fd}`);
  if (fd > 2) closeFd(fd); // no child process may inherit it
  return secret;
}

/** @throws CredentialError */
function secretIn(path: string): string {
  try {
    const bytes = readWholeFile(path, MAX_SECRET_BYTES);
    return new TextDecoder().decode(bytes).split(/\r?\n/, 1)[0]!;
  } catch (cause) {
    if (!(cause instanceof OsError || cause instanceof RangeError)) throw cause;
    throw new CredentialError(`the password cannot be read: ${cause.message}`, {
      cause,
    });
  }
}

/** @throws CredentialError */
function checked(host: string, secret: string): string {
  if (passwordCredential("", secret) !== null) return secret;
  throw new CredentialError(`the password for ${host} is empty`);
}
