import {
  type ArtifactDatabase,
  type ArtifactRecord,
  creationTime,
} from "../artifacts/mod.ts";
import type { LayerSource } from "../../remote/content/mod.ts";
import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import { discoverIndex } from "../../remote/image/mod.ts";
import {
  type SociIndex,
  spanSizeOf,
  xattrsAreDisabled,
  ztocForLayer,
  ztocMediaType,
} from "../../formats/soci/mod.ts";
import { compressedIn } from "./companion.ts";
import type { WindowBytes } from "../../formats/ztoc/mod.ts";
import type { Image } from "../../remote/image/mod.ts";

/** A ztoc that was made before. */
export interface KnownZtoc {
  /** Of the ztoc. */
  readonly digest: Digest;
  /** Bytes of the ztoc. */
  readonly sizeBytes: number;
  /** The span size asked for when it was made, uncompressed bytes. */
  readonly spanSizeBytes: number;
  /** What it holds of its windows. */
  readonly windows: WindowBytes;
  /** Whether the layer has no extended attributes; null if that was not checked. */
  readonly noXattrs: boolean | null;
  /** The ztoc compressed, as a companion names it; where that is known. */
  readonly compressed?: Descriptor;
}

/** Which ztoc of a layer is looked for. */
export interface WantedZtoc {
  /** The span size asked for, uncompressed bytes. */
  readonly spanSizeBytes: number;
  /** `used`: either kind will do, as both serve. `all`: none that the existing tools would not make. */
  readonly windows: WindowBytes;
}

/** Remembers which ztocs were made of which layers, so that none is made twice. */
export interface ZtocLedger {
  /** A ztoc of a layer, if one is known. */
  find(layer: Descriptor, wanted: WantedZtoc): KnownZtoc | null;
  /** Records a ztoc that was stored. */
  record(layer: Descriptor, ztoc: KnownZtoc): void;
  /** Where ztocs of this ledger can be read, if not from the sink. */
  readonly content: LayerSource | null;
}

/** The ledger of an index that is there already. */
function indexLedger(
  index: SociIndex,
  content: LayerSource,
  compressed: ReadonlyMap<Digest, Descriptor>,
): ZtocLedger {
  return {
    content,
    find(layer, { spanSizeBytes, windows }) {
      const known = ztocForLayer(index, layer.digest);
      if (known === null || spanSizeOf(known) !== spanSizeBytes) return null;
      const at = compressed.get(known.digest);
      // The index does not say; those without a companion are not ours.
      if (windows === "all" && at !== undefined) return null;
      return {
        digest: known.digest,
        sizeBytes: known.size,
        spanSizeBytes,
        windows,
        noXattrs: xattrsAreDisabled(known) ? true : null,
        ...(at !== undefined && { compressed: at }),
      };
    },
    record() {},
  };
}

/** The ledger of the index that an image has at its registry; null where it has none to use. */
export async function existingIndexLedger(
  client: RegistryClient,
  reference: Reference,
  { descriptor, bytes }: Image,
  options: { readonly content: LayerSource; readonly signal: AbortSignal },
): Promise<ZtocLedger | null> {
  const { content, signal } = options;
  try {
    const found = await discoverIndex(
      client,
      reference,
      { digest: descriptor.digest, bytes },
      { v1: true, v2: true, withCompanion: true, signal },
    );
    if (found === null) return null;
    return indexLedger(
      found.index,
      content,
      compressedIn(await found.companion, {
        index: found.index,
        image: descriptor.digest,
      }),
    );
  } catch {
    signal.throwIfAborted();
    return null; // a broken index is rebuilt
  }
}

/** The ledger of the local database. */
export function databaseLedger(
  database: ArtifactDatabase,
  content: LayerSource | null = null,
): ZtocLedger {
  return {
    content,
    find(layer, { spanSizeBytes, windows }) {
      const known = database.ztocsOf(layer.digest, spanSizeBytes)
        .find(({ artifactType }) => windows === "used" || artifactType === "");
      return known === undefined ? null : {
        digest: known.digest,
        sizeBytes: known.sizeBytes,
        spanSizeBytes,
        windows: known.artifactType === "" ? "all" : "used",
        noXattrs: known.noXattrs,
      };
    },
    record: (layer, ztoc) => database.record(ztocRecord(layer, ztoc)),
  };
}

/** In the database, the type of a ztoc that holds only what is used of its windows. */
const USED_WINDOWS = "used windows";

/** A ztoc as a record of the database. */
function ztocRecord(
  layer: Pick<Descriptor, "mediaType" | "digest">,
  ztoc: KnownZtoc,
): ArtifactRecord {
  return {
    kind: "ztoc",
    digest: ztoc.digest,
    sizeBytes: ztoc.sizeBytes,
    originalDigest: layer.digest,
    mediaType: ztocMediaType(layer),
    artifactType: ztoc.windows === "all" ? "" : USED_WINDOWS,
    imageDigest: null,
    imageName: null,
    platform: null,
    spanSizeBytes: ztoc.spanSizeBytes,
    noXattrs: ztoc.noXattrs,
    createdAt: creationTime(),
  };
}
