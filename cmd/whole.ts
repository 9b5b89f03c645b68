/** Which images the daemon takes whole, and how, from its configuration. @module */
import { type Config, sizeBytes } from "../lib/config/mod.ts";
import {
  FAST_LIMITS,
  MAX_CHUNK_BYTES,
  type WholeLimits,
  type WholeOptions,
  type WholeRule,
} from "../lib/images/lazy/mod.ts";
import { isNamed } from "../lib/images/policy/mod.ts";
import { BlobKeeper } from "../lib/images/pulling/mod.ts";
import type { FaceChoice, FaceWish } from "../lib/layers/faces/mod.ts";
import type { Repository } from "../lib/remote/registry/mod.ts";
import { policyRules } from "./policy_rules.ts";

/**
 * What the configuration says of images that are taken whole. Where the kernel cannot show such a layer by itself, and
 * nobody asked for FUSE, containerd unpacks what has no index: that is as fast, and needs no daemon afterwards.
 */
export function wholeOptions(
  { eager, pull_modes: { parallel_pull_unpack: parallel }, content_store }:
    Config,
  shown: { readonly choice: FaceChoice; readonly wish: FaceWish },
): WholeOptions {
  const byKeys = parallel.enable ||
    parallel.experimental_parallel_pull_as_fallback;
  const isFast = shown.choice.face === "erofs" || shown.wish === "fuse";
  const patterns = Object.entries(eager.policies);
  const rule = (repository: Repository): WholeRule => {
    if (!isFast) return "never";
    if (parallel.enable || isNamed(repository, eager.images)) return "always";
    const policy = patterns.find(([pattern]) => isNamed(repository, [pattern]))
      ?.[1];
    // A label may say something else: it is known when the image is.
    const isSure = !isNamed(repository, eager.labels);
    if (policy === "eager" && isSure) return "always";
    return byKeys || policy === "eager" || policy === "auto" ||
        isNamed(repository, eager.unindexed)
      ? "without index"
      : "never";
  };
  const policies = policyRules(eager, { mayBeWhole: isFast });
  const limits = byKeys ? limitsOf(parallel) : FAST_LIMITS;
  // The existing keys say that no index is asked for.
  const checkpoints = (repository: Repository) =>
    !parallel.enable && rule(repository) === "always";
  const indexMissing = eager.index_missing;
  const options = { rule, limits, policies, indexMissing, checkpoints };
  const isKept = content_store.type === "containerd" &&
    !parallel.discard_unpacked_layers;
  if (!byKeys || !isKept) return options;
  const keeper = new BlobKeeper(content_store.containerd_address);
  return { ...options, keep: (blob) => keeper.keep(blob) };
}

function limitsOf(
  keys: Config["pull_modes"]["parallel_pull_unpack"],
): WholeLimits {
  const chunkBytes = sizeBytes(keys.concurrent_download_chunk_size);
  return {
    downloads: someOf(keys.max_concurrent_downloads),
    downloadsPerImage: someOf(keys.max_concurrent_downloads_per_image),
    chunkBytes: chunkBytes === 0
      ? Infinity
      : Math.min(chunkBytes, MAX_CHUNK_BYTES),
    unpacks: someOf(keys.max_concurrent_unpacks),
    unpacksPerImage: someOf(keys.max_concurrent_unpacks_per_image),
  };
}

/** A number of things; below 1: any. */
function someOf(count: number): number {
  return count < 1 ? Infinity : count;
}
