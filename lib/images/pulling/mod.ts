/**
 * Images as their registry has them, and how a client pulls one into containerd lazily.
 * @module
 */

export {
  chainIdOf,
  type PulledLayer,
  pullImage,
  type PullRequest,
  type PullResult,
} from "./pull.ts";
