/**
 * Which token servers get a credential: any that the registry names (as in Docker), or only one of
 * the registry's own domain.
 */
export type TokenServers = "named" | "own";

/** What we authenticate with at a registry. */
export type Credential =
  /** A name and its password. */
  | {
    readonly kind: "password";
    readonly username: string;
    readonly password: string;
    /** Default: `named`. */
    readonly tokenServers?: TokenServers;
  }
  /** An OAuth2 refresh token, exchanged for an access token at the registry's token server. */
  | {
    readonly kind: "identity";
    readonly token: string;
    /** Default: `named`. */
    readonly tokenServers?: TokenServers;
  }
  /** A bearer token that is sent as it is. */
  | { readonly kind: "bearer"; readonly token: string };

/**
 * Where credentials come from. It is asked again at every login, so that rotated credentials work
 * without a restart. A slow store does its own caching.
 */
export interface CredentialStore {
  /**
   * The credential for one host, or null for none.
   * @param host as in image references: `docker.io`, `ghcr.io`, `localhost:5000`.
   * @param repository for stores that have credentials for single images.
   */
  get(host: string, repository: string): Promise<Credential | null>;
  /** What was given last was refused: what is kept of it is not to be given again. Default: nothing is kept. */
  refused?(host: string, repository: string): void;
  /** What could be done where a registry wants a login and there is none; for people. Default: nothing is said. */
  missing?(): string | null;
}

/** A store without credentials. */
export function anonymous(): CredentialStore {
  return { get: () => Promise.resolve(null) };
}

/** A login for one host. */
export interface Login {
  /** As in image references: `docker.io`, `localhost:5000`. */
  readonly host: string;
  /** Empty: the secret is a refresh token. */
  readonly username: string;
  /** Called at every login, so that a new password needs no restart. */
  readonly secret: () => string | Promise<string>;
}

/**
 * Logins that are bound to their hosts. A login goes to no other registry and to no mirror. It goes
 * to a token server on another host only if that host is in the same domain. Any other token server
 * needs a login of its own here.
 */
export function boundCredentials(logins: readonly Login[]): CredentialStore {
  return {
    async get(host) {
      const login = logins.find((login) => login.host === host);
      if (login === undefined) return null;
      const credential = passwordCredential(
        login.username,
        await login.secret(),
      );
      return credential === null || credential.kind === "bearer"
        ? credential
        : { ...credential, tokenServers: "own" };
    },
  };
}

/** Asks one store after another, until one has a credential. */
export function firstCredentials(
  stores: readonly CredentialStore[],
): CredentialStore {
  return {
    async get(host, repository) {
      for (const store of stores) {
        const credential = await store.get(host, repository);
        if (credential !== null) return credential;
      }
      return null;
    },
    refused: (host, repository) => {
      for (const store of stores) store.refused?.(host, repository);
    },
    missing: () =>
      stores.map((store) => store.missing?.() ?? null)
        .find((said) => said !== null) ?? null,
  };
}

/** Applies Docker's convention: an empty user name, or `<token>`, means a refresh token. */
export function passwordCredential(
  username: string,
  password: string,
): Credential | null {
  if (password === "") return null;
  return username === "" || username === "<token>"
    ? { kind: "identity", token: password }
    : { kind: "password", username, password };
}
