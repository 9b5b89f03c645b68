/**
 * Images as their registry has them, and how a client pulls one into containerd lazily.
 * @module
 */
export { ImageError } from "./errors.ts";
export {
  fetchImage,
  type ResolvedImage,
  resolveFamily,
  resolveImage,
} from "./image.ts";
export { CRI_LABELS, INDEX_DIGEST_LABEL } from "./labels.ts";
export {
  chainIdOf,
  type PulledLayer,
  pullImage,
  type PullRequest,
  type PullResult,
} from "./pull.ts";
