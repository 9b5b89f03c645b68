import { createHmac } from "node:crypto";
import { sha256 } from "../../formats/oci/mod.ts";
import { readIfThere, writeWholeSync } from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

const log = logger("images");
const SECRET_BYTES = 32;

/** Who an image speaks for. What one claimant has shown says nothing about another. */
export interface Claimant {
  /** containerd's, or `-` for a mount without containerd. */
  readonly namespace: string;
  /** Of the registry. */
  readonly host: string;
  /** In that registry. */
  readonly repository: string;
  /** Of the credentials, without saying anything of them; `anonymous` where there are none. */
  readonly fingerprint: string;
  /** Of all that: the claimant's name in state and log. */
  readonly id: string;
}

/**
 * Names claimants. Credentials enter the name as an HMAC with a secret of this machine. So nothing that is
 * stored says what they are, or whether another machine uses the same.
 */
export class Claimants {
  readonly #client: RegistryClient;
  readonly #secret: Uint8Array;

  /**
   * Reads the secret of this machine.
   * @param client knows the credentials; stays the caller's.
   * @param root the daemon's state folder: the secret is in it, made when missing.
   */
  constructor(client: RegistryClient, root: string) {
    this.#client = client;
    this.#secret = nodeSecret(`${root}/node-secret`);
  }

  /**
   * Who an image of that repository speaks for.
   * @param namespace containerd's.
   */
  async of(
    namespace: string,
    { host, repository }: Repository,
  ): Promise<Claimant> {
    const fingerprint = await this.#fingerprint({ host, repository });
    const parts = [namespace, host, repository, fingerprint];
    const id = sha256(new TextEncoder().encode(JSON.stringify(parts)));
    return { namespace, host, repository, fingerprint, id };
  }

  async #fingerprint(repository: Repository): Promise<string> {
    try {
      const credential = await this.#client.credential(repository);
      if (credential === null) return "anonymous";
      return createHmac("sha256", this.#secret)
        .update(JSON.stringify(credential)).digest("hex");
    } catch (error) {
      // The registry may want none; if it does, it says so when it is asked.
      log.warn("the credentials of a registry cannot be had", {
        host: repository.host,
        error: String(error),
      });
      return "unknown";
    }
  }
}

/** Where the disk takes no write, the next start makes another secret: claims are then shown once more. */
function nodeSecret(path: string): Uint8Array {
  const known = readIfThere(path);
  if (known?.length === SECRET_BYTES) return known;
  const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  try {
    writeWholeSync(path, secret);
  } catch (error) {
    log.warn("the secret of this machine cannot be kept", {
      error: String(error),
    });
  }
  return secret;
}
