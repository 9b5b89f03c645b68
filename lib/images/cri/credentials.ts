import {
  type Credential,
  type CredentialStore,
  InvalidReferenceError,
  parseReference,
  passwordCredential,
  type Repository,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { CriAuth, PullRequest } from "./pull_request.ts";

const log = logger("cri");
/** Repositories whose login is remembered; the one that was pulled longest ago is forgotten first. */
const MAX_REPOSITORIES = 4096;
/** Hub's names, which are one registry. */
const HUB = new Set(["docker.io", "index.docker.io", "registry-1.docker.io"]);

/**
 * Logins that the kubelet's pulls brought, each for the repository it was used with. They are in memory alone: a
 * new process knows none, until images are pulled again.
 */
export class CriCredentials implements CredentialStore {
  readonly #known = new Map<string, Credential>();

  /** Remembers the login of a pull; a newer one of the same repository takes its place. */
  pulled({ image, auth }: PullRequest): void {
    if (auth === null) return;
    let reference: Repository;
    try {
      reference = parseReference(image);
    } catch (error) {
      if (!(error instanceof InvalidReferenceError)) throw error;
      return; // an image's ID, or what the service behind refuses
    }
    if (!isFor(auth.serverAddress, reference.host)) return;
    const credential = credentialOf(auth);
    if (credential === null) return;
    const key = keyOf(reference);
    this.#known.delete(key);
    this.#known.set(key, credential);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_REPOSITORIES) this.#known.delete(oldest!);
    log.debug("a pull brought a login", { repository: key });
  }

  get(host: string, repository: string): Promise<Credential | null> {
    return Promise.resolve(
      this.#known.get(keyOf({ host, repository })) ?? null,
    );
  }

  missing(): string {
    return "logins of the kubelet's pulls are kept in memory alone: pull the image again, or say a login that lasts (docs/registries.md)";
  }
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
