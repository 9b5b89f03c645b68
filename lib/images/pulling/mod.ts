/**
 * How a client pulls an image into containerd lazily: the manifest and config are stored, and each layer is
 * prepared as a snapshot that need not be downloaded.
 *
 * It may ask the registry and containerd. It must not know how the snapshotter serves a layer: it tells
 * the snapshotter of an image by labels, as any other client of containerd does.
 * @module
 */

export {
  chainIdOf,
  type PulledLayer,
  pullImage,
  type PullRequest,
  type PullResult,
} from "./pull.ts";
