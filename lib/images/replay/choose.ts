import {
  hostPlatform,
  matchPlatform,
  parsePlatform,
  PlatformError,
} from "../../formats/oci/mod.ts";
import { DEFAULT_WORKLOAD, isWorkload } from "../../formats/order/mod.ts";
import { type FoundOrder, WORKLOAD_LABEL } from "../../remote/image/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";

/** What says which workload is meant. */
export interface WorkloadWish {
  /** Of the Prepare. */
  readonly labels: Readonly<Record<string, string>>;
  /** What the image's configuration names; null: nothing. */
  readonly imageWorkload: string | null;
  /** Of the image. */
  readonly repository: Repository;
  /** From the configuration: patterns of host and repository, and the workload of images that fit. */
  readonly workloads: readonly (readonly [pattern: string, workload: string])[];
  /** Whether a name fits a pattern. */
  readonly fits: (repository: Repository, pattern: string) => boolean;
}

/**
 * The workload that is meant: what the snapshot's label says, else what the image says of itself, else the
 * first pattern that fits, else the default one.
 */
export function workloadOf(
  { labels, imageWorkload, repository, workloads, fits }: WorkloadWish,
): string {
  const said = [labels[WORKLOAD_LABEL], imageWorkload].find(isWorkload);
  if (said !== undefined) return said;
  const found = workloads.find(([pattern]) => fits(repository, pattern));
  return found?.[1] ?? DEFAULT_WORKLOAD;
}

/**
 * The load order to use; null when there is none for the workload, nor for the default one. Pinned ones come
 * first, then those that were named first.
 * @param isUsable whether one may be used at all.
 */
export function chooseOrder(
  orders: readonly FoundOrder[],
  wish: WorkloadWish,
  isUsable: (order: FoundOrder) => boolean = () => true,
): FoundOrder | null {
  const usable = orders.filter((order) =>
    isUsable(order) && fitsHere(order.platform)
  ).toSorted((a, b) => Number(b.isPinned) - Number(a.isPinned));
  const wanted = workloadOf(wish);
  const of = (workload: string) =>
    usable.find((order) => order.workload === workload) ?? null;
  return of(wanted) ?? of(DEFAULT_WORKLOAD);
}

/** The variant is the image's, which was chosen for this machine. What names none stands for all. */
function fitsHere(platform: string): boolean {
  if (platform === "") return true;
  try {
    const offered = parsePlatform(platform);
    return matchPlatform({ ...offered, ...hostPlatform() }, offered);
  } catch (error) {
    if (error instanceof PlatformError) return false;
    throw error;
  }
}
