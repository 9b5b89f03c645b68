import type { Digest } from "../../formats/oci/mod.ts";
import type { OrderRange } from "../../formats/order/mod.ts";

/** What became of a layer of the plan: it is open, may still be opened, or will not be. */
export type LayerNow<Layer> = Layer | "awaited" | "gone";

/** What is next in a plan: a range of a layer that is open, nothing yet, or nothing any more. */
export type NextRange<Layer> =
  | {
    readonly layer: Layer;
    readonly offset: number;
    readonly length: number;
  }
  | "later"
  | "none";

/**
 * Walks the ranges of a plan in their order, each once, while its layers are being opened. A range whose layer is
 * not open yet holds up no other one: it comes as soon as it can, before all that the plan has behind it.
 */
export class PlanCursor {
  readonly #ranges: readonly OrderRange[];
  /** By layer: positions in the plan that were not given yet, ascending, from `at` on. */
  readonly #queues = new Map<Digest, { positions: number[]; at: number }>();

  /** @param layers digests, by their number in `ranges`. */
  constructor(layers: readonly Digest[], ranges: readonly OrderRange[]) {
    this.#ranges = ranges;
    for (const [position, { layer }] of ranges.entries()) {
      this.#queues.getOrInsertComputed(
        layers[layer]!,
        () => ({ positions: [], at: 0 }),
      ).positions.push(position);
    }
  }

  /** @param now asked for each layer that has ranges left; those of a layer that is gone are passed over. */
  next<Layer extends object>(
    now: (layer: Digest) => LayerNow<Layer>,
  ): NextRange<Layer> {
    let first: { layer: Layer; position: number; digest: Digest } | null = null;
    let isAwaited = false;
    for (const [digest, { positions, at }] of this.#queues) {
      const layer = now(digest);
      const position = positions[at]!;
      if (layer === "awaited") isAwaited = true;
      else if (layer === "gone") this.#queues.delete(digest);
      else if (first === null || position < first.position) {
        first = { layer, position, digest };
      }
    }
    if (first === null) return isAwaited ? "later" : "none";
    const queue = this.#queues.get(first.digest)!;
    if (++queue.at === queue.positions.length) {
      this.#queues.delete(first.digest);
    }
    const { offset, length } = this.#ranges[first.position]!;
    return { layer: first.layer, offset, length };
  }
}
