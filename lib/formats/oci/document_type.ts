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

/** Types that say nothing of a manifest. */
const GENERIC: ReadonlySet<string> = new Set([
  "application/json",
  "application/octet-stream",
  "text/json",
  "text/plain",
]);

/**
 * The media type of a manifest or index: the one in the document, else the one its shape implies, and
 * last the content type it came with, because registries and proxies serve manifests as `text/plain`, as
 * JSON, or without a type. A document with both shapes keeps its stated type; the parser refuses it.
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
  if (own !== "" && !GENERIC.has(own)) return own;
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
    return null; // not JSON: the document says nothing about itself
  }
}
