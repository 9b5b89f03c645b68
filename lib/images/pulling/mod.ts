/**
 * Pulls an image into containerd lazily, as containerd's CRI service does, for hosts without it.
 *
 * It may ask a registry and write to containerd: contents, snapshots and names, all under one lease that
 * ends with the pull, however it ends. It must not know how the snapshotter serves a layer, or whether it
 * is ours: it offers layers by the labels of `remote/image` and unpacks those that are declined.
 * @module
 */
export { BlobKeeper, type KeptBlob } from "./keep.ts";
export { fetchContents, type FetchedContents } from "./contents.ts";
export { pullImage } from "./pull.ts";
export type { PulledLayer, PullRequest, PullResult } from "./request.ts";
