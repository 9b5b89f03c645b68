import {
  type Descriptor,
  type Digest,
  isDigest,
  parseManifest,
  sha256,
} from "../../formats/oci/mod.ts";
import {
  BESIDE_TYPES,
  type BesideIndex,
  listedBeside,
  namedBeside,
} from "./beside.ts";
import { RegistryError, type Repository } from "../registry/mod.ts";
import { SociError } from "../../formats/soci/mod.ts";
import {
  decodeIndex,
  type SociIndex,
  type SociIndexVersion,
} from "../../formats/soci/mod.ts";
import { SOCI_ANNOTATION, SOCI_MEDIA } from "../../formats/soci/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");

/** Where indexes come from; a `RegistryClient` is one. */
export interface IndexSource<Name = Repository> {
  /** The manifest of this digest. */
  manifest(
    repository: Name,
    options: { readonly digest: Digest; readonly signal?: AbortSignal },
  ): Promise<{ readonly bytes: Uint8Array }>;
  /**
   * Artifacts of this type that name this manifest, and those of the types `beside` as far as the same
   * answer lists them.
   */
  referrers(
    repository: Name,
    digest: Digest,
    artifactType: string,
    options: {
      readonly signal?: AbortSignal;
      readonly beside: readonly string[];
    },
  ): Promise<readonly Descriptor[]>;
}

/** Which ways of finding an index are allowed. */
export interface DiscoverOptions {
  /** Through referrers, which anyone who may push can add: only on request. */
  readonly v1: boolean;
  /** Through the image manifest's annotation, which the image's digest covers. */
  readonly v2: boolean;
  /** Use this index and no other. */
  readonly explicitDigest?: Digest | null;
  /** Read the manifest of the index's companion too. Default: false. */
  readonly withCompanion?: boolean;
  /** Ends the search. */
  readonly signal?: AbortSignal;
}

/** The index of an image, and how it was found. */
export interface DiscoveredIndex {
  /** What its bytes say. */
  readonly index: SociIndex;
  /** Of the index. */
  readonly digest: Digest;
  /** The bytes behind the digest. */
  readonly bytes: Uint8Array;
  /** 1: it names its image; 2: its image names it. */
  readonly version: SociIndexVersion;
  /** How it was found: asked for, named by the image, or naming it. */
  readonly via: "explicit" | "annotation" | "referrers";
  /** What the image has beside it. */
  readonly beside: BesideIndex;
  /** The manifest of its companion, asked for with the index; null where it cannot be had. */
  readonly companion: Promise<Uint8Array | null> | null;
}

/** Referrers tried before giving up: many broken ones must not cost many requests. */
const MAX_CANDIDATES = 16;

/**
 * Finds the SOCI index of an image: the one asked for by digest, else the one its manifest names (v2),
 * else the first that names it (v1). An index that is named but missing counts as no index, so that the
 * image still starts.
 * @param image the image's manifest. Its bytes may still be in flight; referrers are requested
 * meanwhile.
 * @returns null when the image has no index.
 * @throws SociError when there is one that cannot be used; errors of the source, but for not-found.
 */
export async function discoverIndex<Name>(
  source: IndexSource<Name>,
  repository: Name,
  image: {
    readonly digest: Digest;
    readonly bytes: Uint8Array | Promise<Uint8Array>;
  },
  options: DiscoverOptions,
): Promise<DiscoveredIndex | null> {
  const companions = new Map<Digest, Promise<Uint8Array | null>>();
  const companionOf = ({ companion }: BesideIndex) =>
    companion === null || options.withCompanion !== true
      ? null
      : companions.getOrInsertComputed(
        companion.digest,
        () => fetchCompanion(source, repository, companion.digest, options),
      );
  const fetch = async (digest: Digest, via: DiscoveredIndex["via"]) => {
    const found = await fetchIndex(
      source,
      repository,
      digest,
      via,
      options.signal,
    );
    return found && { ...found, companion: companionOf(found.beside) };
  };
  if (options.explicitDigest != null) {
    return await fetch(options.explicitDigest, "explicit");
  }
  const askReferrers = () =>
    source.referrers(
      repository,
      image.digest,
      SOCI_MEDIA.indexV1,
      { beside: BESIDE_TYPES, ...signalOption(options.signal) },
    );
  const early = options.v1 && image.bytes instanceof Promise
    ? askReferrers()
    : null;
  early?.catch(() => {}); // awaited below, unless the manifest names an index
  if (options.v2) {
    const annotations = parseManifest(await image.bytes).annotations;
    const digest = annotations?.[SOCI_ANNOTATION.indexDigest];
    if (digest !== undefined) {
      if (!isDigest(digest)) {
        throw new SociError(
          "invalid",
          "the image names its index by no digest",
        );
      }
      const found = await fetch(digest, "annotation");
      if (found !== null && found.version !== 2) {
        throw new SociError(
          "invalid",
          "the image names an index that is not v2",
        );
      }
      return found;
    }
  }
  if (!options.v1) return null;
  const listed = await (early ?? askReferrers());
  const candidates = listed.filter(({ artifactType = "" }) =>
    !BESIDE_TYPES.includes(artifactType)
  );
  let broken: SociError | RegistryError | null = null;
  for (const { digest } of candidates.slice(0, MAX_CANDIDATES)) {
    try {
      const beside = listedBeside(listed, digest);
      // With the index. Whoever may push could list a companion for each candidate.
      if (companions.size === 0) companionOf(beside);
      const found = await fetch(digest, "referrers");
      if (found?.index.subject?.digest === image.digest) {
        return { ...found, beside, companion: companionOf(beside) };
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      const ofThisOne = error instanceof SociError ||
        error instanceof RegistryError;
      if (!ofThisOne) throw error;
      broken ??= error; // another referrer may still be good
    }
  }
  if (broken !== null) throw broken;
  return null;
}

function signalOption(signal: AbortSignal | undefined) {
  return signal === undefined ? {} : { signal };
}

async function fetchIndex<Name>(
  source: IndexSource<Name>,
  repository: Name,
  digest: Digest,
  via: DiscoveredIndex["via"],
  signal: AbortSignal | undefined,
): Promise<Omit<DiscoveredIndex, "companion"> | null> {
  let bytes: Uint8Array;
  try {
    ({ bytes } = await source.manifest(repository, {
      digest,
      ...signalOption(signal),
    }));
  } catch (error) {
    if (error instanceof RegistryError && error.kind === "not-found") {
      return null;
    }
    throw error;
  }
  if (sha256(bytes) !== digest) {
    throw new SociError("digest", `the bytes of ${digest} are others`);
  }
  const index = decodeIndex(bytes);
  const beside = namedBeside(index, via === "annotation");
  return { index, digest, bytes, version: index.version, via, beside };
}

/** The manifest of a companion. It is no loss: the ztocs are there as they are. */
async function fetchCompanion<Name>(
  source: IndexSource<Name>,
  repository: Name,
  digest: Digest,
  { signal }: DiscoverOptions,
): Promise<Uint8Array | null> {
  try {
    const { bytes } = await source.manifest(repository, {
      digest,
      ...signalOption(signal),
    });
    if (sha256(bytes) === digest) return bytes;
    throw new SociError("digest", `the bytes of ${digest} are others`);
  } catch (error) {
    log.warn("companion of the index cannot be read", {
      companion: digest,
      error: String(error),
    });
    return null;
  }
}
