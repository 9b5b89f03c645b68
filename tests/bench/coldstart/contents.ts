/** What lies in a repository of the benchmark's registry, and what each part is. @module */
import { sha256 } from "../../../lib/formats/oci/mod.ts";
import {
  decodePins,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
} from "../../../lib/formats/order/mod.ts";
import { SOCI_ANNOTATION, SOCI_MEDIA } from "../../../lib/formats/soci/mod.ts";

/** Blobs and manifests that a start fetches, by what they are. */
export type Kind =
  | "image"
  | "index"
  | "ztoc"
  | "companion"
  | "plan"
  | "pack"
  | "layer"
  | "other";

/** An image in a repository, and what was published for it. */
export interface Contents {
  /** Of the image's manifest. */
  readonly digest: string;
  /** Of its layers. */
  readonly sizeBytes: number;
  /** What each digest and tag is. */
  readonly kinds: ReadonlyMap<string, Kind>;
  /** The layers' digests, lowest first. */
  readonly layers: readonly string[];
  /** Of each layer its ztoc's digest; null where it has none. */
  readonly ztocs: ReadonlyArray<string | null>;
  /** The digest of the load order's plan; null where there is none. */
  readonly plan: string | null;
}

/** Gives a manifest by tag or digest, as it is; null where there is none. */
export type Manifests = (
  name: string,
) => Promise<Uint8Array<ArrayBuffer> | null>;

const BLOB_KINDS: Readonly<Record<string, Kind>> = {
  [SOCI_MEDIA.ztoc]: "ztoc",
  [SOCI_MEDIA.ztocOfZstd]: "ztoc",
  [ORDER_MEDIA.plan]: "plan",
  [ORDER_MEDIA.pack]: "pack",
};

interface Part {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface AnyManifest {
  readonly digest: string;
  readonly artifactType?: string;
  readonly config?: Part;
  readonly layers?: readonly Part[];
  readonly manifests?: readonly Part[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Looks through a repository. @throws Error without an image */
export async function contentsOf(
  tag: string,
  manifests: Manifests,
): Promise<Contents> {
  const named = await parsed(manifests, tag);
  const [only] = named?.manifests ?? [];
  // What is pinned lies behind an index of images, which names the image first.
  const image = only === undefined
    ? named
    : await parsed(manifests, only.digest);
  if (image === null) throw new Error(`no image has the tag ${tag}`);
  const layers = image.layers ?? [];
  const fallback = image.digest.replace(":", "-");
  const kinds = new Map<string, Kind>([
    [tag, "image"],
    [image.digest, "image"],
    [image.config!.digest, "image"],
    [fallback, "index"],
    ...layers.map(({ digest }) => [digest, "layer"] as const),
  ]);
  const ztocs = new Map<string, string>();
  const referrers = await parsed(manifests, fallback);
  const beside = (referrers?.manifests ?? []).map(({ digest }) => digest);
  const index = image.annotations?.[SOCI_ANNOTATION.indexDigest];
  if (index !== undefined) {
    const { annotations = {} } = await parsed(manifests, index) ?? {};
    const companion = annotations[SOCI_ANNOTATION.companion];
    const orders = decodePins(annotations[ORDER_ANNOTATION.pins]);
    beside.push(index, ...orders.map(({ digest }) => digest));
    if (companion !== undefined) beside.push(companion);
  }
  for (const digest of beside) {
    kinds.set(digest, "index");
    const artifact = await parsed(manifests, digest);
    for (const part of artifact?.layers ?? []) {
      const kind = artifact?.artifactType === SOCI_MEDIA.companion
        ? "companion"
        : BLOB_KINDS[part.mediaType] ?? "other";
      kinds.set(part.digest, kind);
      const layer = part.annotations?.[SOCI_ANNOTATION.layerDigest];
      if (kind === "ztoc" && layer !== undefined) ztocs.set(layer, part.digest);
    }
  }
  return {
    digest: image.digest,
    sizeBytes: layers.reduce((sum, { size }) => sum + size, 0),
    kinds,
    layers: layers.map(({ digest }) => digest),
    plan: [...kinds].find(([, kind]) => kind === "plan")?.[0] ?? null,
    ztocs: layers.map(({ digest }) => ztocs.get(digest) ?? null),
  };
}

async function parsed(
  manifests: Manifests,
  name: string,
): Promise<AnyManifest | null> {
  const bytes = await manifests(name);
  return bytes === null ? null : {
    ...JSON.parse(new TextDecoder().decode(bytes)),
    digest: sha256(bytes),
  };
}
