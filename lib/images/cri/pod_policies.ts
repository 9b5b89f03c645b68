import {
  InvalidReferenceError,
  parseReference,
  type Reference,
} from "../../remote/registry/mod.ts";
import type { PullRequest } from "./pull_request.ts";

/** Text of a pod's annotation is no longer, else it is none. */
const MOST_CHARACTERS = 64;

/**
 * What pods say, by an annotation, of how an image is to be taken. The kubelet's pull alone brings it: containerd hands
 * no annotation of a pod on when it pulls. It counts while that pull goes on; of several of an image the newest does.
 */
export class PodPolicies {
  /** By image, oldest first. */
  readonly #said = new Map<string, { readonly policy: string }[]>();

  /** A pull begins. @returns to be called at its end */
  begin({ image, policy }: PullRequest): () => void {
    const key = keyOf(image);
    if (
      key === null || policy === undefined || policy.length > MOST_CHARACTERS
    ) {
      return () => {};
    }
    const said = { policy };
    this.#said.set(key, [...this.#said.get(key) ?? [], said]);
    return () => {
      const others = this.#said.get(key)?.filter((one) => one !== said) ?? [];
      if (others.length > 0) this.#said.set(key, others);
      else this.#said.delete(key);
    };
  }

  /** What the pod says whose image is pulled just now; null where it says nothing. */
  of(reference: Reference): string | null {
    return this.#said.get(reference.toString())?.at(-1)?.policy ?? null;
  }
}

/** As containerd names it in a snapshot's labels; null: an image's ID, or what the service behind refuses. */
function keyOf(image: string): string | null {
  try {
    return parseReference(image).toString();
  } catch (error) {
    if (!(error instanceof InvalidReferenceError)) throw error;
    return null;
  }
}
