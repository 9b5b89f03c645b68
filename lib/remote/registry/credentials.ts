/**
 * Which token servers get a credential: any that the registry names, as Docker does it, or only one of
 * the registry's own domain.
 */
export type TokenServers = "named" | "own";

/** What proves to a registry who asks. */
export type Credential =
  /** A name and its password. */
  | {
    readonly kind: "password";
    readonly username: string;
    readonly password: string;
    /** `named` when not said. */
    readonly tokenServers?: TokenServers;
  }
  /** An OAuth2 refresh token, to be exchanged at the registry's token server. */
  | {
    readonly kind: "identity";
    readonly token: string;
    /** `named` when not said. */
    readonly tokenServers?: TokenServers;
  }
  /** A bearer token that is sent as it is. */
  | { readonly kind: "bearer"; readonly token: string };

/**
 * Where credentials come from. It is asked anew whenever a registry wants to know who asks, so
 * that rotated credentials work without a restart; whoever is slow caches by itself.
 */
export interface CredentialStore {
  /**
   * The credential for one host, or null for none.
   * @param host as in image references: `docker.io`, `ghcr.io`, `localhost:5000`.
   * @param repository some stores know credentials of single images.
   */
  get(host: string, repository: string): Promise<Credential | null>;
}

/** Always nobody. */
export function anonymous(): CredentialStore {
  return { get: () => Promise.resolve(null) };
}

/** A login for one host. */
export interface Login {
  /** As in image references: `docker.io`, `localhost:5000`. */
  readonly host: string;
  /** Empty: the secret is a refresh token. */
  readonly username: string;
  /** Asked for at every question, so that a new password needs no restart. */
  readonly secret: () => string | Promise<string>;
}

/**
 * Logins each of which goes to its host alone: to no other registry, no mirror, and no token server on
 * another host, unless that is of the host's own domain or has a login here itself.
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

/** Asks one store after another; the first that knows the host answers. */
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
  };
}

/** Docker's convention: no name, or `<token>` for the name, means a refresh token. */
export function passwordCredential(
  username: string,
  password: string,
): Credential | null {
  if (password === "") return null;
  return username === "" || username === "<token>"
    ? { kind: "identity", token: password }
    : { kind: "password", username, password };
}
