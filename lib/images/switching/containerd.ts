import type { Containerd } from "../../remote/containerd/mod.ts";
import { isRpcError } from "../../remote/containerd_words/mod.ts";
import { imagesWithChains } from "../catalog/mod.ts";
import type { OldSnapshot } from "./old_state.ts";

/** containerd may wait for a snapshotter that is gone. */
const STAT_MS = 1_000;
const ASKED_AT_ONCE = 64;

/** What one namespace of containerd knows of snapshots that are going. */
export interface Orphans {
  /** The namespace. */
  readonly namespace: string;
  /** Names of the images that are made of them: they have to be pulled again. */
  readonly images: readonly string[];
  /** In the order in which they can be removed. */
  readonly snapshots: readonly OldSnapshot[];
}

/**
 * Which of these snapshots the namespace of a connection knows, and which of its images are made of them.
 * @param containerd talks to the snapshotter that is going; nobody need answer there.
 */
export async function findOrphans(
  namespace: string,
  containerd: Containerd,
  snapshots: readonly OldSnapshot[],
  signal: AbortSignal,
): Promise<Orphans> {
  const here = snapshots.toReversed()
    .filter((each) => (each.namespace ?? namespace) === namespace);
  const asked = new Map<OldSnapshot, boolean>();
  const waiting = here.values();
  const ask = async () => {
    for (const snapshot of waiting) {
      asked.set(snapshot, await isKnown(containerd, snapshot.key, signal));
    }
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, ask));
  const known = here.filter((snapshot) => asked.get(snapshot));
  const chains = new Set(
    known.filter(({ kind }) => kind === "committed").map(({ key }) => key),
  );
  const images = chains.size === 0
    ? []
    : (await imagesWithChains(containerd, signal))
      .filter(({ chainIds }) => chainIds.some((chain) => chains.has(chain)))
      .map(({ name }) => name);
  return { namespace, images: images.toSorted(), snapshots: known };
}

/** containerd looks into its own records first, and asks the snapshotter only for those that are there. */
async function isKnown(
  containerd: Containerd,
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await containerd.snapshots.has(key, { signal, timeoutMs: STAT_MS });
  } catch (error) {
    signal.throwIfAborted();
    if (!isRpcError(error)) throw error;
    return true; // the snapshotter does not answer: so it was asked
  }
}

/**
 * Removes the images, and then containerd's records of the snapshots. May be repeated.
 * @returns how many records of snapshots could not be removed, because others are built on them
 */
export async function clearOrphans(
  { images, snapshots }: Orphans,
  containerd: Containerd,
  signal: AbortSignal,
): Promise<number> {
  const gone = async (removal: Promise<void>) => {
    try {
      await removal;
    } catch (error) {
      if (!isRpcError(error, "NOT_FOUND")) throw error;
    }
  };
  let left = 0;
  for (const name of images) {
    await gone(containerd.images.delete(name, { signal }));
  }
  for (const { key } of snapshots) {
    try {
      await gone(containerd.snapshots.remove(key, { signal }));
    } catch (error) {
      if (!isRpcError(error, "FAILED_PRECONDITION")) throw error;
      left++;
    }
  }
  return left;
}
