/**
 * The OCI and Docker image formats: digests, descriptors, manifests, indexes, platforms, media
 * types. Everything read here comes from outside and is checked before it is used.
 * @module
 */
export * from "./digest.ts";
export { sha256InSteps } from "./digest_in_steps.ts";
export * from "./document.ts";
export * from "./document_type.ts";
export * from "./json.ts";
export * from "./manifest.ts";
export * from "./media.ts";
export * from "./platform.ts";
