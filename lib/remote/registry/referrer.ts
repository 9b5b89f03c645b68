import {
  type Descriptor,
  MEDIA,
  parseDescriptor,
} from "../../formats/oci/mod.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads an entry of a list of referrers. Registries leave out or misspell what we do not need: only
 * the digest must be right, because the manifest itself is fetched by it.
 * @returns a descriptor whose size is 0 if the list does not say it.
 * @throws ManifestError
 */
export function parseReferrer(value: unknown, where: string): Descriptor {
  const { mediaType, digest, size, artifactType, annotations, platform } =
    Object(value) as Fields;
  const isSize = Number.isSafeInteger(size) && (size as number) >= 0;
  const { os, architecture } = Object(platform) as Fields;
  return parseDescriptor({
    mediaType: isText(mediaType) ? mediaType : MEDIA.ociManifest,
    digest,
    size: isSize ? size : 0,
    ...(isText(artifactType) && { artifactType }),
    ...(isObject(annotations) && { annotations: texts(annotations) }),
    ...(typeof os === "string" && typeof architecture === "string" &&
      { platform }),
  }, where);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function texts(map: Fields): Fields {
  return Object.fromEntries(
    Object.entries(map).filter(([, value]) => typeof value === "string"),
  );
}
