import * as v from "valibot";
import {
  type Credential,
  type CredentialStore,
  InvalidReferenceError,
  parseReference,
  passwordCredential,
  type Repository,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { PodPolicies } from "./pod_policies.ts";
import type { CriAuth, PullRequest } from "./pull_request.ts";

const log = logger("cri");
/** Repositories whose login is remembered; the one that was pulled longest ago is forgotten first. */
const MAX_REPOSITORIES = 4096;
/** Characters of logins that are handed to a successor: half of what its line takes. The newest go first. */
const MAX_HANDED = 2 ** 19;
/** Hub's names, which are one registry. */
const HUB = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

const text = v.pipe(v.string(), v.maxLength(MAX_HANDED));
/** What a predecessor hands over: repositories with their logins, newest first. */
const HANDED = v.array(v.tuple([
  text,
  v.variant("kind", [
    v.object({ kind: v.literal("password"), username: text, password: text }),
    v.object({ kind: v.literal("identity"), token: text }),
    v.object({ kind: v.literal("bearer"), token: text }),
  ]),
]));

/** Told how a pull ended, once. */
export type PullEnd = (outcome: "succeeded" | "failed") => void;

/** The login of a pull that goes on: nobody has said yet that it works. */
interface TriedLogin {
  readonly credential: Credential;
  /** A registry refused it to us. */
  isRefused: boolean;
}

/**
 * Logins that the kubelet's pulls brought, each for the repository it was used with. They are in memory alone. A
 * successor that takes over gets them from its predecessor; after any other end a new process knows none, until
 * images are pulled again.
 *
 * While a pull goes on its login is tried before the one that is known, which containers may need. It takes that one's
 * place when the pull has succeeded, and is forgotten when it has failed.
 */
export class CriCredentials implements CredentialStore {
  /** What the pods say whose images are pulled. */
  readonly policies = new PodPolicies();
  readonly #known = new Map<string, Credential>();
  /** Of pulls that go on, oldest first. */
  readonly #tried = new Map<string, TriedLogin[]>();
  /** Of those, the one that was given last. */
  readonly #given = new Map<string, TriedLogin>();

  /** A pull begins. @returns to be told of its end */
  begin(request: PullRequest): PullEnd {
    const over = this.policies.begin(request);
    const login = loginOf(request);
    if (login === null) return over;
    const { key, credential } = login;
    const tried: TriedLogin = { credential, isRefused: false };
    this.#tried.set(key, [...this.#tried.get(key) ?? [], tried]);
    return (outcome) => {
      over();
      this.#ended(key, tried);
      if (outcome === "failed") return;
      this.#remember(key, credential);
      log.debug("a pull brought a login", { repository: key });
    };
  }

  #ended(key: string, tried: TriedLogin): void {
    const others = this.#tried.get(key)?.filter((one) => one !== tried) ?? [];
    if (others.length > 0) this.#tried.set(key, others);
    else this.#tried.delete(key);
    if (this.#given.get(key) === tried) this.#given.delete(key);
  }

  #remember(key: string, credential: Credential): void {
    this.#known.delete(key);
    this.#known.set(key, credential);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_REPOSITORIES) this.#known.delete(oldest!);
  }

  /** All that is known, for `takeOver` of a successor; what would be too long a message is left out. */
  handOver(): unknown {
    let length = 0;
    return [...this.#known].reverse().filter((one) =>
      (length += JSON.stringify(one).length) <= MAX_HANDED
    );
  }

  /** Knows what a predecessor handed over. Anything else is passed over: older releases hand over nothing. */
  takeOver(handed: unknown): void {
    const read = v.safeParse(HANDED, handed ?? []);
    if (!read.success) {
      // No more of it: its text may hold a login.
      return log.warn("the last daemon's logins cannot be read");
    }
    for (const [key, credential] of read.output.reverse()) {
      if (!this.#known.has(key)) this.#remember(key, credential);
    }
    if (read.output.length > 0) {
      log.info("logins of the kubelet's pulls taken over", {
        repositories: read.output.length,
      });
    }
  }

  get(host: string, repository: string): Promise<Credential | null> {
    const key = keyOf({ host, repository });
    const known = this.#known.get(key);
    const tried = this.#tried.get(key)?.findLast(({ isRefused }) =>
      !isRefused || known === undefined
    );
    if (tried === undefined) this.#given.delete(key);
    else this.#given.set(key, tried);
    return Promise.resolve(tried?.credential ?? known ?? null);
  }

  /** A pull's login that does not work keeps nobody from the one that does. */
  refused(host: string, repository: string): void {
    const given = this.#given.get(keyOf({ host, repository }));
    if (given !== undefined) given.isRefused = true;
  }

  missing(): string {
    return "logins of the kubelet's pulls are kept in memory alone: pull the image again, or say a login that lasts (docs/registries.md)";
  }
}

/** The login of a pull, and the repository it is for; null where there is none. */
function loginOf(
  { image, auth }: PullRequest,
): { key: string; credential: Credential } | null {
  if (auth === null) return null;
  let reference: Repository;
  try {
    reference = parseReference(image);
  } catch (error) {
    if (!(error instanceof InvalidReferenceError)) throw error;
    return null; // an image's ID, or what the service behind refuses
  }
  if (!isFor(auth.serverAddress, reference.host)) return null;
  const credential = credentialOf(auth);
  return credential === null ? null : { key: keyOf(reference), credential };
}

function keyOf({ host, repository }: Repository): string {
  return `${host}/${repository}`;
}

/** Whether a login that names a server may be used for a host. */
function isFor(server: string, host: string): boolean {
  if (server === "") return true;
  const named = server.replace(/^https?:\/\//i, "").split("/")[0]!
    .toLowerCase();
  return named === host.toLowerCase() || HUB.has(named) && HUB.has(host);
}

/** In containerd's order. */
function credentialOf(auth: CriAuth): Credential | null {
  if (auth.username !== "") {
    return passwordCredential(auth.username, auth.password);
  }
  if (auth.identityToken !== "") {
    return { kind: "identity", token: auth.identityToken };
  }
  if (auth.registryToken !== "") {
    return { kind: "bearer", token: auth.registryToken };
  }
  const pair = decoded(auth.auth);
  const colon = pair.indexOf(":");
  if (colon < 0) return null;
  return passwordCredential(
    pair.slice(0, colon),
    pair.slice(colon + 1).replace(/\0+$/, ""),
  );
}

/** Text of base64; empty where it is none: the service behind says so to the kubelet. */
function decoded(text: string): string {
  try {
    return new TextDecoder().decode(
      Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
    );
  } catch {
    return "";
  }
}
