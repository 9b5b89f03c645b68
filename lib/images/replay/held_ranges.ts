import type { Digest } from "../../formats/oci/mod.ts";
import type { UnpackedRange } from "../../formats/order/mod.ts";

/** Bytes that are kept for layers that are not open yet. What is over comes with a second pass. */
const MAX_BYTES = 32 * 2 ** 20;

/** Bytes of a pack that came before their layer was open. */
export class HeldRanges {
  readonly #ranges = new Map<Digest, UnpackedRange[]>();
  #bytes = 0;

  /** Keeps a range, if there is room. @returns whether there was */
  add(range: UnpackedRange): boolean {
    const { layer, bytes } = range;
    if (this.#bytes + bytes.length > MAX_BYTES) return false;
    this.#bytes += bytes.length;
    this.#ranges.getOrInsertComputed(layer, () => []).push(range);
    return true;
  }

  /** What was kept for a layer. It is not kept any more. */
  take(layer: Digest): readonly UnpackedRange[] {
    const ranges = this.#ranges.get(layer) ?? [];
    this.#ranges.delete(layer);
    for (const { bytes } of ranges) this.#bytes -= bytes.length;
    return ranges;
  }

  /** Drops everything. */
  clear(): void {
    this.#ranges.clear();
    this.#bytes = 0;
  }
}
