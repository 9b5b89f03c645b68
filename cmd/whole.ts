/** Which images the daemon takes whole, and how, from its configuration. @module */
import { type Config, sizeBytes } from "../lib/config/mod.ts";
import {
  FAST_LIMITS,
  type ImageService,
  MAX_CHUNK_BYTES,
  unpackWorkers,
  type WholeLimits,
  type WholeOptions,
  type WholeRule,
} from "../lib/images/lazy/mod.ts";
import { isNamed } from "../lib/images/policy/mod.ts";
import type { WholeWarmUpOptions } from "../lib/images/warmup/mod.ts";
import { BlobKeeper } from "../lib/images/pulling/mod.ts";
import type { FaceChoice, FaceWish } from "../lib/layers/faces/mod.ts";
import type { Repository } from "../lib/remote/registry/mod.ts";
import { policyRules } from "./policy_rules.ts";

/** Workers that are ready while nobody pulls: each has 30 MB, and where there are more cores they start beside. */
const READY_WORKERS = 2;

/** How layers are shown. */
interface Shown {
  readonly choice: FaceChoice;
  readonly wish: FaceWish;
}

function isFast({ choice, wish }: Shown): boolean {
  return choice.face === "erofs" || wish === "fuse";
}

/**
 * What the configuration says of images that are taken whole. Where the kernel cannot show such a layer by itself, and
 * nobody asked for FUSE, containerd unpacks what has no index: that is as fast, and needs no daemon afterwards.
 */
export function wholeOptions(
  { eager, pull_modes: { parallel_pull_unpack: parallel }, content_store }:
    Config,
  shown: Shown,
): WholeOptions {
  const byKeys = parallel.enable ||
    parallel.experimental_parallel_pull_as_fallback;
  const mayBeWhole = isFast(shown);
  const patterns = Object.entries(eager.policies);
  const rule = (repository: Repository): WholeRule => {
    if (!mayBeWhole) return "never";
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
  const policies = policyRules(eager, { mayBeWhole });
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

/** What is made ready for images that are taken whole; null where the configuration takes none, or it cannot be fast. */
export function wholeWarmUp(
  { eager: { images, unindexed, policies }, pull_modes }: Config,
  shown: Shown,
  service: Pick<ImageService, "rehearsal">,
): WholeWarmUpOptions | null {
  const { parallel_pull_unpack: parallel } = pull_modes;
  const byKeys = parallel.enable ||
    parallel.experimental_parallel_pull_as_fallback;
  const isExpected = byKeys || images.length > 0 || unindexed.length > 0 ||
    Object.values(policies).some((policy) =>
      policy === "eager" || policy === "auto"
    );
  if (!isExpected || !isFast(shown)) return null;
  return {
    rehearsal: (client) => service.rehearsal(client),
    workers: Math.min(
      READY_WORKERS,
      unpackWorkers(byKeys ? limitsOf(parallel) : FAST_LIMITS),
    ),
  };
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
