import { CRI_LABELS } from "../../remote/image/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { Ancestor } from "./chains.ts";
import type { ImageCatalog, NamedImage } from "./provider.ts";
import type { SnapshotStore } from "./store.ts";
import type { StoredImage } from "./uses.ts";

const log = logger("snapshotter");

/** How long containerd may take to say which images it has, ms: a container waits for it. */
const CATALOG_MS = 2_000;

/**
 * Finds images of several repositories that share one chain by different ztocs. containerd prepares a chain once
 * for all of them and does not say which one a container is of, so neither's ztocs alone may decide.
 */
export class Contests {
  readonly #store: SnapshotStore;
  readonly #catalog: ImageCatalog | null;
  #silent = false;

  /** @param catalog null: nobody says which images there are, and no chain is contested. */
  constructor(store: SnapshotStore, catalog: ImageCatalog | null) {
    this.#store = store;
    this.#catalog = catalog;
  }

  /**
   * Why the layers of a chain must be proven before they are shown.
   * @param decider the snapshot whose image decides; null when none does.
   * @param namespace of the caller.
   * @returns null when they need not be; also when containerd does not say in time which images it has.
   */
  async of(
    chainId: string,
    decider: Ancestor | null,
    namespace: string | null,
  ): Promise<string | null> {
    if (this.#catalog === null || decider === null || namespace === null) {
      return null;
    }
    const signal = AbortSignal.timeout(CATALOG_MS);
    let images: readonly NamedImage[];
    try {
      images = await this.#catalog.ofChain(namespace, chainId, signal);
    } catch (error) {
      // On some hosts it can never be asked: that is said once.
      log[this.#silent ? "debug" : "warn"](
        "containerd does not say which images share a chain",
        { chainId, namespace, error: String(error) },
      );
      this.#silent = true;
      return null;
    }
    this.#silent = false;
    const own = this.#store.imageOf(decider.id);
    const repository = own === null
      ? repositoryOf(decider.labels[CRI_LABELS.imageRef])
      : nameOf(own);
    const rival = images.find((image) =>
      nameOf(image) !== repository && !this.#agree(own, image)
    );
    return rival === undefined
      ? null
      : `an image of ${
        nameOf(rival)
      } and one of ${repository} share this chain by different ztocs`;
  }

  /** Whether two images of one chain have the same ztocs. */
  #agree(own: StoredImage | null, other: NamedImage): boolean {
    if (own === null) return false;
    if (own.indexDigest !== null && own.indexDigest === other.indexDigest) {
      return true;
    }
    return this.#store.imagesOf(other).some(({ ztocs }) =>
      ztocs.length === own.ztocs.length &&
      ztocs.every((ztoc, at) => ztoc !== null && ztoc === own.ztocs[at])
    );
  }
}

function nameOf(
  { host, repository }: Pick<NamedImage, "host" | "repository">,
): string {
  return `${host}/${repository}`;
}

/** The repository of an image reference; the reference itself when it cannot be read. */
export function repositoryOf(imageRef = ""): string {
  try {
    return nameOf(parseReference(imageRef));
  } catch {
    return imageRef;
  }
}
