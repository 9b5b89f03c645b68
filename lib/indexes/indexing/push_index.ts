import type { ArtifactStore } from "../artifacts/mod.ts";
import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import {
  type Reference,
  type RegistryClient,
  RegistryError,
} from "../../remote/registry/mod.ts";
import { SOCI_MEDIA } from "../../formats/soci/mod.ts";
import { putCompanionOf } from "./companion.ts";
import { type PushOptions, pushTree } from "./push.ts";

/** What to do where the registry lists an index of the image already. */
export type ExistingIndex = "warn" | "skip" | "allow";

/** How the newest index of an image is pushed. */
export interface PushIndexOptions extends PushOptions {
  /** Which indexes there are. */
  readonly store: ArtifactStore;
  /** Asks the registry for indexes it lists already. */
  readonly client: RegistryClient;
  /** The repository that the index goes to, where its image is. */
  readonly reference: Reference;
  /** `warn` and `allow` push, `skip` does not. */
  readonly existing: ExistingIndex;
  /** Whether a companion is made of the index and pushed behind it. */
  readonly companion: "pushed" | "none";
  /** Told before the registry is asked for indexes. */
  readonly onCheck?: () => void;
  /** Told of an index that the registry lists already beside an image manifest. */
  readonly onExisting?: (index: Digest, manifest: Digest) => void;
  /** Told before the index is pushed. */
  readonly onIndex?: (index: Digest) => void;
}

/** What became of an index. */
export interface PushedIndex {
  /** Of the index. */
  readonly digest: Digest;
  /** Of the image manifest it is of. */
  readonly manifest: Digest;
  /** `skipped`: the registry lists one already, and `existing` says to let it be. */
  readonly outcome: "pushed" | "skipped";
  /** Of its companion; null where none was pushed. */
  readonly companion: Digest | null;
}

/**
 * Pushes the newest index v1 of an image manifest that the local store knows.
 * @returns null where it knows none.
 * @throws ContentError when the image is not at the registry
 */
export async function pushNewestIndex(
  manifest: Descriptor,
  options: PushIndexOptions,
): Promise<PushedIndex | null> {
  const { store, client, reference, existing, signal } = options;
  const record = store.database.list("index").find((one) =>
    one.originalDigest === manifest.digest &&
    one.artifactType === SOCI_MEDIA.indexV1
  );
  if (record === undefined) return null;
  const { digest, mediaType, sizeBytes } = record;
  if (existing !== "allow") {
    options.onCheck?.();
    const [there] = await client.referrers(
      reference,
      manifest.digest,
      SOCI_MEDIA.indexV1,
      { signal },
    ).catch((error) => {
      // A warning is not worth the push. Pushing has its own ways round a failing list.
      if (existing === "warn" && error instanceof RegistryError) return [];
      throw error;
    });
    if (there !== undefined) {
      options.onExisting?.(there.digest, manifest.digest);
      if (existing === "skip") {
        return {
          ...{ digest, manifest: manifest.digest, outcome: "skipped" },
          companion: null,
        };
      }
    }
  }
  options.onIndex?.(digest);
  const index = { mediaType, digest, size: sizeBytes };
  await pushTree(index, options);
  const companion = options.companion === "none"
    ? null
    : await putCompanionOf(index, manifest, options);
  return { digest, manifest: manifest.digest, outcome: "pushed", companion };
}

/** Whether the store knows an image as one that was converted: its indexes are part of it. */
export function isConverted(
  { database }: ArtifactStore,
  image: Digest,
): boolean {
  return database.list("index").some(({ imageDigest, artifactType }) =>
    imageDigest === image && artifactType === SOCI_MEDIA.indexV2
  );
}
