import type { LayerStore, OpenLayer } from "../../layers/serving/mod.ts";
import type { LayerChain, OwnDirectories } from "../snapshotter/mod.ts";

/** One part below a layer of a chain. */
type Below = OpenLayer | { readonly files: string };

/**
 * The own directories of a chain; null when it needs none.
 * @throws ChainTooLargeError, OpeningError; Error when a layer is not served or its tree cannot be read.
 */
export async function ownDirectories(
  { slot, below, record: known }: LayerChain,
  store: LayerStore,
): Promise<OwnDirectories | null> {
  const open = (slot: number): OpenLayer => {
    const layer = store.served(slot);
    if (layer === null) throw new Error(`no layer is served in slot ${slot}`);
    return layer;
  };
  const lower = below.map((part): Below =>
    "folder" in part ? { files: part.folder } : open(part.slot)
  );
  // Without a record, the directories are made layer by layer from the lowest one above a folder.
  const chain: { layer: OpenLayer; lower: readonly Below[] }[] = [
    { layer: open(slot), lower },
  ];
  if (known === undefined) {
    for (const [at, part] of below.entries()) {
      if ("folder" in part) break;
      chain.unshift({ layer: open(part.slot), lower: lower.slice(at + 1) });
    }
  }
  let record = known ?? null;
  for (const { layer, lower } of chain) {
    if (record === null && !layer.mayInherit) continue;
    record = await store.chainRecord(layer, lower, record);
  }
  if (record === null) return null;
  const made = record;
  return { record: made, write: (folder) => store.writeChain(made, folder) };
}
