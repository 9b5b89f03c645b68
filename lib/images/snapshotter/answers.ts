import type { SnapshotRow } from "./rows.ts";

/** How long containerd may take to look for a snapshot that a Prepare said exists, ms. */
const LOOK_MS = 2_000;

interface Answer {
  readonly id: number;
  readonly taken: Promise<void>;
  readonly take: () => void;
}

/**
 * Which snapshot a Prepare with a target was answered with. containerd then lists the snapshots of that target
 * and takes the first, and releases before 2.0 do not say for which namespace they list. So the list begins with
 * the snapshot of the last answer, and another answer for the same target waits until that was listed.
 */
export class Answers {
  readonly #open = new Map<string, Answer>();

  /** A Prepare is about to be answered with a snapshot. Resolves when it may be. */
  async give(target: string, { id }: SnapshotRow): Promise<void> {
    for (
      let open = this.#open.get(target);
      open !== undefined && open.id !== id;
      open = this.#open.get(target)
    ) await open.taken;
    if (this.#open.has(target)) return;
    const { promise: taken, resolve } = Promise.withResolvers<void>();
    const take = () => {
      clearTimeout(timer);
      this.#open.delete(target);
      resolve();
    };
    const timer = setTimeout(take, LOOK_MS);
    this.#open.set(target, { id, taken, take });
  }

  /** Moves the snapshot of an open answer to the front of a list that is for its target. */
  sort(
    rows: readonly SnapshotRow[],
    filters: readonly string[],
  ): SnapshotRow[] {
    for (const [target, { id, take }] of this.#open) {
      if (!filters.some((filter) => filter.includes(target))) continue;
      const row = rows.find((row) => row.id === id);
      if (row === undefined) continue;
      take();
      return [row, ...rows.filter((other) => other !== row)];
    }
    return [...rows];
  }

  /** Nobody waits any more. */
  [Symbol.dispose](): void {
    for (const { take } of [...this.#open.values()]) take();
  }
}
