/**
 * Which snapshots have which target label. containerd looks for one after each Prepare that was answered with
 * "exists"; without this, all snapshots of the node would be read each time.
 *
 * @example
 * ```ts
 * import { TargetIndex } from "./targets.ts";
 * const index = new TargetIndex();
 * index.set(7, "chain");
 * index.set(9, "chain");
 * index.set(7, undefined);
 * if (index.of("chain").join() !== "9") throw new Error("one was left");
 * ```
 */
export class TargetIndex {
  readonly #ids = new Map<string, Set<number>>();
  readonly #targets = new Map<number, string>();

  /** A snapshot has that target now; undefined: none, or it is gone. */
  set(id: number, target: string | undefined): void {
    const before = this.#targets.get(id);
    if (before === target) return;
    if (before !== undefined) {
      const ids = this.#ids.get(before);
      ids?.delete(id);
      if (ids?.size === 0) this.#ids.delete(before);
      this.#targets.delete(id);
    }
    if (target === undefined) return;
    this.#targets.set(id, target);
    this.#ids.getOrInsertComputed(target, () => new Set()).add(id);
  }

  /** Numbers of the snapshots with that target, in ascending order. */
  of(target: string): number[] {
    return [...this.#ids.get(target) ?? []].sort((a, b) => a - b);
  }
}
