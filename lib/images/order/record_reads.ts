import { MAX_TOUCHES } from "../../formats/order/mod.ts";
import type { RecordedReads, SpokenRead } from "../../host/handover/mod.ts";
import type { LayerStore } from "../../layers/serving/mod.ts";

/**
 * Records the reads of layers, for whoever asks at the control socket: page by page, without the kernel's
 * read-ahead.
 */
export function recordReads(
  store: LayerStore,
  digests: readonly string[],
): RecordedReads {
  const wanted = new Set(digests);
  const layers = store.all()
    .filter(({ layerDigest }) => wanted.has(layerDigest));
  const served = [...new Set(layers.map(({ layerDigest }) => layerDigest))];
  // A layer may be served several times, under different ztocs.
  const numbers = new Map(
    layers.map(({ slot, layerDigest }) => [slot, served.indexOf(layerDigest)]),
  );
  const recording = store.record(new Set(numbers.keys()), {
    pages: "exact",
    maxReads: MAX_TOUCHES,
  });
  const spoken: SpokenRead[] = [];
  return {
    served,
    reads: () => {
      const reads = recording.reads();
      for (let i = spoken.length; i < reads.length; i++) {
        const { slot, offset, length, atMs, waitedMs } = reads[i]!;
        spoken.push([numbers.get(slot)!, offset, length, atMs, waitedMs]);
      }
      return spoken;
    },
    get lost() {
      return recording.lost;
    },
    [Symbol.dispose]: () => recording[Symbol.dispose](),
  };
}
