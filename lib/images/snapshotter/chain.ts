import type { Ancestor } from "./chains.ts";
import type { SnapshotFolders } from "./folders.ts";
import type { ChainPart, LayerChain, ProvidedLayer } from "./provider.ts";
import type { SnapshotStore } from "./store.ts";

/**
 * The chain of a new lazy snapshot, as `Lowers` will show it: the image's own layers where it was given them,
 * else what the snapshots below have.
 * @param rows the snapshots below, nearest first.
 */
export function chainOfLayer(
  layer: ProvidedLayer,
  rows: readonly Ancestor[],
  { store, folders }: {
    readonly store: SnapshotStore;
    readonly folders: SnapshotFolders;
  },
): LayerChain {
  const given = layer.below.length === rows.length
    ? layer.below.toReversed()
    : [];
  const slots = rows.map((row, at) =>
    given[at]?.slot ??
      (row.layer === null ? null : store.uses(row.name).at(-1)?.slot ?? null)
  );
  const below = rows.flatMap((row, at): ChainPart[] => {
    const slot = slots[at] ?? null;
    const own = { folder: folders.fs(row.id) };
    if (slot === null) return [own];
    // Directories of served layers below a folder: they are made once, and not for this chain again.
    const isShown = at > 0 && slots[at - 1] === null &&
      row.layer !== null && folders.has(row.id);
    return isShown ? [own, { slot }] : [{ slot }];
  });
  const [nearest] = rows;
  const { slot } = layer;
  if (nearest === undefined || slots[0] === null) {
    return { slot, below, record: null };
  }
  // Those of another image's layers would be its word.
  return isOfTheseLayers(nearest, slots, store)
    ? { slot, below, record: folders.record(nearest.id) }
    : { slot, below };
}

/** Whether a snapshot keeps just the layers that are shown, where any are. */
function isOfTheseLayers(
  row: Ancestor,
  slots: readonly (number | null)[],
  store: SnapshotStore,
): boolean {
  if (row.layer === null) return false;
  const kept = new Map(
    store.uses(row.name).map(({ position, slot }) => [position, slot]),
  );
  return slots.every((slot, at) =>
    (kept.get(slots.length - 1 - at) ?? null) === slot
  );
}
