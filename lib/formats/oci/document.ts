import { canonicalJson, sortedMap } from "./json.ts";
import type { Descriptor } from "./manifest.ts";
import type { Platform } from "./platform.ts";

const utf8 = new TextEncoder();

/** `{ [key]: value }`, or nothing for what Go leaves out. */
function maybe(key: string, value: unknown): Record<string, unknown> {
  return value === undefined || value === "" ? {} : { [key]: value };
}

function platformJson(platform: Platform): Record<string, unknown> {
  const features = (platform as { "os.features"?: readonly string[] })[
    "os.features"
  ];
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...maybe("os.version", platform["os.version"]),
    ...(features?.length && { "os.features": features }),
    ...maybe("variant", platform.variant),
  };
}

/** Annotations with sorted keys; an empty map is left out. */
export function annotationsJson(
  annotations: Readonly<Record<string, string>> | undefined,
): Record<string, unknown> {
  return annotations === undefined || Object.keys(annotations).length === 0
    ? {}
    : { annotations: sortedMap(annotations) };
}

/** A descriptor with its keys in the order of the OCI specification's Go types. */
export function descriptorJson(
  descriptor: Descriptor,
): Record<string, unknown> {
  const { mediaType, digest, size, urls, annotations, data, platform } =
    descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(urls?.length && { urls }),
    ...annotationsJson(annotations),
    ...maybe("data", data),
    ...(platform !== undefined && { platform: platformJson(platform) }),
    ...maybe("artifactType", descriptor.artifactType),
  };
}

/** Equal for platforms that are the same in every field. */
export function platformKey(platform: Platform | undefined): string {
  return platform === undefined ? "" : canonicalJson(platformJson(platform));
}

/** The bytes of a document whose keys are in order already. */
export function documentBytes(value: unknown): Uint8Array {
  return utf8.encode(canonicalJson(value));
}
