import type { StatementSync } from "node:sqlite";
import type { Labels } from "./types.ts";

/** The most ancestors that are remembered, those of all chains together. */
const MAX_REMEMBERED = 8192;

/** A committed snapshot that others build on: what never changes of it, and its labels as they are now. */
export interface Ancestor {
  /** Name of its folder. */
  readonly id: number;
  /** Of the snapshot. */
  readonly name: string;
  /** Labels that containerd and others set. */
  readonly labels: Labels;
  /** Set for lazily served ones. */
  readonly layer: {
    /** The target of its Prepare. */
    readonly chainId: string;
  } | null;
}

/** What chains are read with. */
export interface ChainsOptions {
  /** Makes a statement, or returns the one made before. */
  readonly prepare: (sql: string) => StatementSync;
  /** The labels of a snapshot. @throws SnapshotError `not-found` */
  readonly labelsOf: (name: string) => Labels;
}

const COLUMNS = "s.id, s.name, s.layer_digest IS NOT NULL AS lazy, s.chain_id";

/**
 * Chains of committed snapshots. An image of many layers is prepared layer by layer, and each Prepare asks for
 * the whole chain below: so the chains that were asked for last are remembered, and one that is longer by a
 * snapshot takes one row. What is remembered of a snapshot stays true until it is removed.
 */
export class SnapshotChains {
  readonly #options: ChainsOptions;
  /** By the name of the uppermost, nearest first. What was asked for last is at the end. */
  readonly #chains = new Map<string, readonly Ancestor[]>();
  #remembered = 0;

  /** Reads nothing yet. */
  constructor(options: ChainsOptions) {
    this.#options = options;
  }

  /**
   * A committed snapshot and its ancestors, nearest first.
   * @param name of one that is there. @param parent its parent's; empty when it has none.
   */
  of(name: string, parent: string): readonly Ancestor[] {
    const known = this.#chains.get(name);
    if (known !== undefined) {
      this.#chains.delete(name);
      this.#chains.set(name, known);
      return known;
    }
    const below = parent === "" ? [] : this.#chains.get(parent);
    const chain = below === undefined
      ? this.#read(name)
      : [...this.#readOne(name), ...below];
    this.#remember(name, chain);
    return chain;
  }

  /** A snapshot is removed: nothing builds on it. */
  forget(name: string): void {
    this.#remembered -= this.#chains.get(name)?.length ?? 0;
    this.#chains.delete(name);
  }

  #remember(name: string, chain: readonly Ancestor[]): void {
    this.#chains.set(name, chain);
    this.#remembered += chain.length;
    for (const oldest of this.#chains.keys()) {
      if (this.#remembered <= MAX_REMEMBERED || oldest === name) return;
      this.forget(oldest);
    }
  }

  #readOne(name: string): Ancestor[] {
    return this.#options
      .prepare(`SELECT ${COLUMNS} FROM snapshots s WHERE s.name = ?`)
      .all(name).map(this.#ancestor);
  }

  #read(name: string): Ancestor[] {
    return this.#options.prepare(`
      WITH RECURSIVE chain (id, depth) AS (
        SELECT id, 0 FROM snapshots WHERE name = ?
        UNION ALL
        SELECT s.parent_id, depth + 1 FROM snapshots s JOIN chain USING (id)
      )
      SELECT ${COLUMNS} FROM chain JOIN snapshots s ON s.id = chain.id ORDER BY chain.depth`)
      .all(name).map(this.#ancestor);
  }

  readonly #ancestor = (row: Record<string, unknown>): Ancestor => {
    const { labelsOf } = this.#options;
    const name = String(row.name);
    return {
      id: Number(row.id),
      name,
      get labels() {
        return labelsOf(name);
      },
      layer: row.lazy === 1 ? { chainId: String(row.chain_id) } : null,
    };
  };
}
