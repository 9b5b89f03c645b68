import { statIfThere } from "../../host/files/mod.ts";
import { askProgram } from "./ask_program.ts";
import {
  type Credential,
  type CredentialStore,
  passwordCredential,
} from "./credentials.ts";
import { type CredentialKeys, scopesOf } from "./credential_keys.ts";

/** Docker's credentials cannot be used; the message holds no secret. */
export class CredentialError extends Error {
  static {
    this.prototype.name = "CredentialError";
  }
}

const HELPER_TIMEOUT_MS = 30_000;
const MAX_CONFIG_BYTES = 4 * 2 ** 20;
const HELPER_WHY = {
  absent: "is not installed",
  refused:
    "may not be run: it was not named when this process started, or LD_* variables are set (docs/security.md)",
  unrunnable: "could not be run",
  late: "did not answer in time",
  "too long": "answered too much",
} as const;

interface DockerConfig extends CredentialKeys {
  readonly credsStore: string;
}

/** Where Docker keeps its configuration: `$DOCKER_CONFIG/config.json`, else below `$HOME`. */
function dockerConfigPath(): string {
  const folder = Deno.env.get("DOCKER_CONFIG") ||
    `${Deno.env.get("HOME") || "/root"}/.docker`;
  return `${folder}/config.json`;
}

/**
 * Reads credentials from Docker's config.json. The longest repository path that the file names
 * comes first. For each path the order is `credHelpers`, `credsStore`, `auths`. The file is read at
 * every login, so a new login needs no restart. No file means no credentials.
 * @throws CredentialError (from `get`) for a broken file or a failing helper.
 */
export function dockerCredentials(path?: string): CredentialStore {
  return {
    async get(host, repository) {
      const file = path ?? dockerConfigPath();
      const config = await readConfig(file);
      if (config === null) return null;
      const { auths, credHelpers, credsStore } = config;
      for (const scope of scopesOf(config, host, repository)) {
        const own = scope.helperKeys.map((key) => credHelpers[key])
          .find((name): name is string => typeof name === "string");
        // As in Docker, an empty name means that the file holds the login.
        const helper = own ?? credsStore;
        if (helper !== "") {
          const answer = await askHelper(helper, scope.asked).catch((error) => {
            // Many stores know only hosts, and fail for a path that they are not configured for.
            if (own === undefined && scope.isPath) return null;
            throw error;
          });
          // The file may still hold older logins from before `credsStore` was set.
          if (answer !== null) return answer;
        }
        const entry = scope.authKeys.map((key) => ({ key, value: auths[key] }))
          .find(({ value }) => typeof value === "object" && value !== null);
        const found = entry === undefined
          ? null
          : credentialOf(entry.value as object, entry.key, file);
        if (found !== null) return found;
      }
      return null;
    },
  };
}

/**
 * The credential of Docker's `auths`, the longest path that covers the repository first; null for none.
 * @param file named in errors.
 * @throws CredentialError for an entry that cannot be read.
 */
export function credentialIn(
  auths: Readonly<Record<string, unknown>>,
  { host, repository }: { readonly host: string; readonly repository: string },
  file: string,
): Credential | null {
  for (const scope of scopesOf({ auths, credHelpers: {} }, host, repository)) {
    for (const key of scope.authKeys) {
      const entry = auths[key];
      if (typeof entry !== "object" || entry === null) continue;
      const found = credentialOf(entry, key, file);
      if (found !== null) return found;
    }
  }
  return null;
}

/** Whether one of Docker's or Kubernetes' patterns of registries covers a repository. */
export function isCovered(
  patterns: readonly string[],
  { host, repository }: { readonly host: string; readonly repository: string },
): boolean {
  const auths = Object.fromEntries(patterns.map((pattern) => [pattern, {}]));
  return scopesOf({ auths, credHelpers: {} }, host, repository)
    .some(({ authKeys }) => authKeys.length > 0);
}

async function readConfig(file: string): Promise<DockerConfig | null> {
  let value: unknown;
  try {
    // Mostly there is none, and each layer asks: an error that Deno makes of that takes longer.
    const found = statIfThere(file);
    if (found === null) return null;
    if (found.size > MAX_CONFIG_BYTES) {
      throw new CredentialError(`${file}: too large`);
    }
    value = JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof CredentialError) throw error;
    // The parser's message may quote the file, so it is not passed on.
    const why = error instanceof SyntaxError ? "no JSON" : "not readable";
    throw new CredentialError(
      `${file}: ${why}; mend the file or log in again (docker login)`,
    );
  }
  const map = (item: unknown) =>
    typeof item === "object" && item !== null
      ? item as Record<string, unknown>
      : {};
  const { auths, credHelpers, credsStore } = map(value);
  return {
    auths: map(auths),
    credHelpers: map(credHelpers),
    credsStore: typeof credsStore === "string" ? credsStore : "",
  };
}

function credentialOf(
  entry: object,
  name: string,
  file: string,
): Credential | null {
  const fields = entry as Record<string, unknown>;
  const text = (key: string) =>
    typeof fields[key] === "string" ? fields[key] as string : "";
  if (text("identitytoken") !== "") {
    return { kind: "identity", token: text("identitytoken") };
  }
  if (text("registrytoken") !== "") {
    return { kind: "bearer", token: text("registrytoken") };
  }
  if (text("auth") === "") {
    return passwordCredential(text("username"), text("password"));
  }
  const pair = decodeBase64(text("auth"));
  const colon = pair?.indexOf(":") ?? -1;
  if (pair === null || colon < 0) {
    throw new CredentialError(
      `${file}: the "auth" of ${name} is not base64 of name:password; log in again (docker login)`,
    );
  }
  // Docker pads old entries with zero bytes.
  return passwordCredential(
    pair.slice(0, colon),
    pair.slice(colon + 1).replace(/\0+$/, ""),
  );
}

function decodeBase64(text: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(
      Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0)),
    );
  } catch {
    return null; // the caller reports it without quoting the secret
  }
}

/** Runs `docker-credential-<name> get`, as Docker does; null if it does not know the host. */
async function askHelper(
  name: string,
  host: string,
): Promise<Credential | null> {
  const program = `docker-credential-${name}`;
  // The name comes from a file and becomes a program: it must not be a path.
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new CredentialError(`"${name.slice(0, 50)}" is no credential helper`);
  }
  const fail = (why: string): never => {
    throw new CredentialError(
      `${program} ${why} for ${host}; check that it runs and is logged in`,
    );
  };
  const answer = await askProgram(program, {
    args: ["get"],
    input: `${host}\n`,
    timeoutMs: HELPER_TIMEOUT_MS,
  });
  if (answer.kind !== "ended") return fail(HELPER_WHY[answer.kind]);
  if (answer.code !== 0) {
    // The protocol's only way to say "none" is this text on standard output.
    if (answer.text.includes("credentials not found")) return null;
    fail("failed");
  }
  let value: unknown;
  try {
    value = JSON.parse(answer.text);
  } catch {
    fail("answered no JSON"); // the answer may hold the secret, so it is not shown
  }
  const { Username, Secret } = (value ?? {}) as Record<string, unknown>;
  if (typeof Username !== "string" || typeof Secret !== "string") {
    return fail("answered without Username and Secret");
  }
  return passwordCredential(Username, Secret);
}
