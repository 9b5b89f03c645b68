import { isIndexMediaType, isManifestMediaType, MEDIA } from "./media.ts";

/** A content type as it is compared: lower case, without parameters; empty where there is none. */
export function bareMediaType(contentType: string | null): string {
  return (contentType ?? "").split(";")[0]!.trim().toLowerCase();
}

/** Whether a media type is Docker's first manifest format, signed or not. */
export function isSchema1MediaType(mediaType: string): boolean {
  return mediaType === MEDIA.dockerSchema1 ||
    mediaType === MEDIA.dockerSchema1Signed;
}

/**
 * What a manifest or index is. The document's own word counts, then its shape, and last what was said
 * beside it: registries and proxies serve manifests as `text/plain`, as JSON, or as nothing at all.
 * A document that has both shapes keeps the type that was said; whoever parses it refuses it.
 * @param said the content type it came with.
 */
export function documentMediaType(
  bytes: Uint8Array,
  said: string | null,
): string {
  const beside = bareMediaType(said);
  const value = jsonObject(bytes);
  if (value === null) return beside;
  const own = typeof value.mediaType === "string"
    ? bareMediaType(value.mediaType)
    : "";
  if (value.schemaVersion === 1 || isSchema1MediaType(own)) {
    return MEDIA.dockerSchema1;
  }
  if (own !== "") return own;
  const index = Array.isArray(value.manifests);
  const manifest = value.config !== undefined || value.layers !== undefined;
  if (index === manifest) return beside;
  if (index) return isIndexMediaType(beside) ? beside : MEDIA.ociIndex;
  return isManifestMediaType(beside) ? beside : MEDIA.ociManifest;
}

function jsonObject(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value
      : null;
  } catch {
    return null; // no JSON: nothing of its own to go by
  }
}
