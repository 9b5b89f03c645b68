import type { Answers } from "./answers.ts";
import { parseFilters, targetsOf } from "./filter.ts";
import type { SnapshotRow } from "./rows.ts";
import type { SnapshotStore } from "./store.ts";

/** Snapshots that are read at once. */
const PART = 100;

/** Lists snapshots for containerd. */
export class Listing {
  readonly #store: SnapshotStore;
  readonly #answers: Answers;

  constructor(store: SnapshotStore, answers: Answers) {
    this.#store = store;
    this.#answers = answers;
  }

  /**
   * Snapshots that pass any of the filters (containerd's filter language): those of the namespace first, then
   * those without one, then those of others; each oldest first. containerd takes the first that it finds.
   */
  list(
    filters: readonly string[],
    namespace: string | undefined,
  ): SnapshotRow[] {
    const targets = targetsOf(filters);
    const rows = targets === null
      ? this.#store.all()
      : this.#store.withTargets(targets);
    const found = rows.filter(parseFilters(filters));
    if (namespace === undefined) return this.#answers.sort(found, filters);
    const rank = (row: SnapshotRow) =>
      row.namespace === namespace ? 0 : row.namespace === null ? 1 : 2;
    return found.toSorted((a, b) => rank(a) - rank(b));
  }

  /**
   * The same in parts. Where all snapshots are listed, each part is read when it is asked for, as all of them
   * take long on a node that has many. What is removed meanwhile is left out.
   */
  *parts(
    filters: readonly string[],
    namespace: string | undefined,
  ): Generator<readonly SnapshotRow[], void, void> {
    if (filters.length > 0) {
      yield* inParts(this.list(filters, namespace));
      return;
    }
    for (const ids of inParts(this.#store.idsInOrder(namespace))) {
      yield this.#store.withIds(ids);
    }
  }
}

function* inParts<T>(all: readonly T[]): Generator<readonly T[], void, void> {
  for (let from = 0; from < all.length; from += PART) {
    yield all.slice(from, from + PART);
  }
}
