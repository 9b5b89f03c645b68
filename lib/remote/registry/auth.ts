import { isDeepStrictEqual } from "node:util";
import {
  type Challenge,
  forbiddenLead,
  givenAddress,
  isHere,
  isLoopback,
  parseChallenges,
} from "../network/mod.ts";
import { discard } from "./body.ts";
import type { Credential, CredentialStore } from "./credentials.ts";
import { CredentialError } from "./docker_credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { RegistryError } from "./errors.ts";
import type { Http } from "./http.ts";
import type { RegistryClientOptions } from "./options.ts";
import { statusFailure } from "./status.ts";
import { basic, fetchToken } from "./token.ts";

/** What a request wants to do, in the token specification's words: `repository:a/b:pull`. */
export type Scopes = readonly string[];

/** An `Authorization` header that works, kept until it expires or is refused. */
interface Pass {
  readonly authorization: string;
  readonly expiresAt: number;
}

/** A credential that all repositories of a host use. */
interface SharedCredential {
  readonly credential: Credential | null;
  readonly untilMs: number;
}

/** So many logins are tried where a store knows several; each other one was refused. */
export const MAX_LOGINS = 8;

/** The most passes kept; the oldest is evicted first. */
const MAX_PASSES = 4096;

/**
 * Finds the `Authorization` header of requests.
 *
 * The registry's challenge says how to log in; it is cached per registry. The pass it led to is
 * cached per registry and scopes. Concurrent requests for the same pass are coalesced (single
 * flight).
 */
export class Authenticator {
  readonly #challenges = new Map<string, readonly Challenge[]>();
  readonly #passes = new Map<string, Pass>();
  readonly #asking = new Map<string, Promise<Pass>>();
  /** What the store said for a host, where its repositories share it. */
  readonly #shared = new Map<string, SharedCredential>();

  constructor(
    private readonly http: Http,
    private readonly credentials: CredentialStore,
    /** Read with each login: a configuration may be reloaded. */
    private readonly options: Pick<RegistryClientOptions, "logins"> = {},
  ) {}

  /** The header a request starts with; null if the registry has asked for none so far. */
  async current(to: Endpoint, scopes: Scopes): Promise<string | null> {
    const key = passKey(to, scopes);
    const pass = this.#passes.get(key);
    if (pass !== undefined) {
      if (Date.now() < pass.expiresAt) return pass.authorization;
      this.#passes.delete(key);
    }
    const known = this.#challenges.get(to.root.origin);
    if (known === undefined) return null;
    try {
      return (await this.#ask(to, scopes, known)).authorization;
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      // The registry may ask for something else by now: get a new challenge.
      this.#challenges.delete(to.root.origin);
      return null;
    }
  }

  /**
   * The header to try after a refusal.
   * @param header the refusal's `WWW-Authenticate`, or null if it had none.
   * @param refused the header that was refused, or null.
   * @returns null when there is nothing else to try.
   */
  async after(
    to: Endpoint,
    scopes: Scopes,
    header: string | null,
    refused: string | null,
  ): Promise<string | null> {
    const key = passKey(to, scopes);
    const pass = this.#passes.get(key);
    if (pass !== undefined) {
      // Another request may have got a new pass while ours was in flight.
      if (pass.authorization !== refused) return pass.authorization;
      this.#passes.delete(key);
    }
    if (refused !== null) this.#refused(to);
    const told = header === null ? [] : parseChallenges(header);
    const challenges = told.length > 0
      ? told
      : this.#challenges.get(to.root.origin);
    if (challenges === undefined) return null;
    this.#challenges.set(to.root.origin, challenges);
    const next = await this.#ask(to, scopes, challenges);
    return next.authorization === refused ? null : next.authorization;
  }

  #ask(
    to: Endpoint,
    scopes: Scopes,
    challenges: readonly Challenge[],
  ): Promise<Pass> {
    const key = passKey(to, scopes);
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      // Shared by several callers, so no single caller's abort ends it; the timeouts do.
      asking = this.#find(to, scopes, challenges).then((found) => {
        const { ttlMs = Infinity } = this.options.logins ?? {};
        const expiresAt = Math.min(found.expiresAt, Date.now() + ttlMs);
        const pass = { ...found, expiresAt };
        const oldest = this.#passes.keys().next();
        if (this.#passes.size >= MAX_PASSES && !oldest.done) {
          this.#passes.delete(oldest.value);
        }
        this.#passes.set(key, pass);
        return pass;
      }).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #find(
    to: Endpoint,
    scopes: Scopes,
    challenges: readonly Challenge[],
  ): Promise<Pass> {
    let credential = await this.#credential(to);
    for (let tries = 1;; tries++) {
      try {
        return await this.#passBy(credential, to, scopes, challenges);
      } catch (error) {
        if (!(error instanceof RefusedLogin) || tries >= MAX_LOGINS) {
          throw error;
        }
        this.#refused(to);
        const next = await this.#credential(to);
        if (isDeepStrictEqual(next, credential)) throw error;
        credential = next;
      }
    }
  }

  /** What was given last for a host is of no use: what is kept of it goes. */
  #refused({ host, repository }: Endpoint): void {
    this.#shared.delete(host);
    this.credentials.refused?.(host, repository);
  }

  async #passBy(
    credential: Credential | null,
    to: Endpoint,
    scopes: Scopes,
    challenges: readonly Challenge[],
  ): Promise<Pass> {
    if (credential?.kind === "bearer") {
      return lasting(`Bearer ${credential.token}`);
    }
    const bearers = challenges.filter(({ scheme }) => scheme === "bearer");
    const isBasic = challenges.some(({ scheme }) => scheme === "basic");
    const bearer = bearers.find(({ parameters }) => parameters.get("realm")) ??
      (isBasic ? undefined : bearers[0]);
    if (bearer !== undefined) {
      return await this.#token(to, scopes, bearer, credential);
    }
    if (!isBasic) {
      throw unauthorized(to, "it asks for a kind of login that is not known");
    }
    if (credential?.kind !== "password") {
      throw unauthorized(
        to,
        this.#advised("it asks for a login and none is known for it"),
      );
    }
    return lasting(basic(credential));
  }

  #advised(detail: string): string {
    const advice = this.credentials.missing?.() ?? null;
    return advice === null ? detail : `${detail}; ${advice}`;
  }

  async #credential(to: Endpoint): Promise<Credential | null> {
    const { shared = false, ttlMs = Infinity } = this.options.logins ?? {};
    const known = shared ? this.#shared.get(to.host) : undefined;
    if (known !== undefined && Date.now() < known.untilMs) {
      return known.credential;
    }
    try {
      const credential = await this.credentials.get(to.host, to.repository);
      if (shared) {
        if (this.#shared.size >= MAX_PASSES) this.#shared.clear();
        const untilMs = Date.now() + ttlMs;
        this.#shared.set(to.host, { credential, untilMs });
      }
      return credential;
    } catch (cause) {
      if (!(cause instanceof CredentialError)) throw cause;
      throw unauthorized(to, cause.message);
    }
  }

  /** The token server's own login, for a server that must not get the registry's. */
  async #forTokenServer(
    to: Endpoint,
    host: string,
  ): Promise<Exclude<Credential, { kind: "bearer" }>> {
    const own = await this.#credential({ ...to, host });
    if (own !== null && own.kind !== "bearer") return own;
    throw unauthorized(
      to,
      `its token server is another host, ${host}, and does not get this login: say the login for ${host} too, or use Docker's (docker login)`,
    );
  }

  async #token(
    to: Endpoint,
    scopes: Scopes,
    { parameters }: Challenge,
    credential: Exclude<Credential, { kind: "bearer" }> | null,
  ): Promise<Pass> {
    const named = parameters.get("realm") ?? "";
    const realm = named === ""
      ? null
      : givenAddress(named, new URL("/", to.root));
    if (realm === null) {
      throw unauthorized(to, "its challenge names no token server");
    }
    // The registry names the server that gets the password. Over TLS we trust the registry with
    // that. A token server in clear text would show the password to everybody on the way.
    const { lookup } = this.http.network;
    const local = isLoopback(realm.host) && await isHere(to.root, lookup);
    const lead = local ? null : await forbiddenLead(to.root, realm, lookup);
    if (lead !== null) {
      throw unauthorized(to, `its token server would be asked ${lead}`);
    }
    const { answer, read } = await fetchToken(this.http, to, {
      realm,
      service: parameters.get("service") ?? "",
      scopes: mergeScopes(scopes, parameters.get("scope")),
      credential: credential?.tokenServers !== "own" || isOwn(to, realm)
        ? credential
        : await this.#forTokenServer(to, realm.host),
    });
    if (answer.status === 200) {
      const { token, lifeMs } = await read();
      // A little early, so that a token does not expire in flight. The server's clock is not used.
      return {
        authorization: `Bearer ${token}`,
        expiresAt: Date.now() + lifeMs * 0.9,
      };
    }
    if (answer.status >= 500 || answer.status === 429) {
      throw await statusFailure(to, answer, "asking its token server");
    }
    await discard(answer);
    if (credential !== null) throw new RefusedLogin(to, answer.status);
    throw unauthorized(
      to,
      this.#advised("its token server gives nothing to anonymous users"),
      answer.status,
    );
  }
}

/**
 * Whether a token server belongs to the registry. It does if it is the same host, a subdomain of
 * the registry's (`auth.docker.io` of `docker.io`), or a parent domain (`gitlab.com` of
 * `registry.gitlab.com`). A sibling may be a stranger, as two names below `co.uk` are.
 */
function isOwn({ host, root }: Endpoint, realm: URL): boolean {
  if (realm.host === root.host) return true;
  const server = realm.hostname;
  return [host, root.host].map((name) => name.replace(/:\d+$/, ""))
    .some((registry) =>
      registry.includes(".") && server.includes(".") &&
      !isAddress(registry) && !isAddress(server) &&
      (server.endsWith(`.${registry}`) || registry.endsWith(`.${server}`))
    );
}

function isAddress(name: string): boolean {
  return name.startsWith("[") || /^[\d.]+$/.test(name);
}

function passKey({ root }: Endpoint, scopes: Scopes): string {
  return `${root.origin} ${scopes.join(" ")}`;
}

/** Thrown in this file: another login may be given. */
class RefusedLogin extends RegistryError {
  constructor({ host, repository }: Endpoint, status: number) {
    const detail = "its token server refused the login";
    super({ kind: "unauthorized", host, repository, detail, status });
  }
}

/** A pass that does not expire is renewed when it is refused. */
function lasting(authorization: string): Pass {
  return { authorization, expiresAt: Infinity };
}

function unauthorized(
  { host, repository }: Endpoint,
  detail: string,
  status?: number,
): RegistryError {
  return new RegistryError({
    kind: "unauthorized",
    host,
    repository,
    detail,
    ...(status !== undefined && { status }),
  });
}

/** Our scopes and those the registry adds; ours win if both name the same resource. */
function mergeScopes(ours: Scopes, theirs: string | undefined): Scopes {
  const resource = (scope: string) => scope.replace(/:[^:]*$/, "");
  const known = new Set(ours.map(resource));
  const more = (theirs ?? "").split(" ").filter((scope) =>
    scope !== "" && !known.has(resource(scope))
  );
  return [...ours, ...more];
}
