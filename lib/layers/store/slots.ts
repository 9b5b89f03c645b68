import { DatabaseSync } from "node:sqlite";
import { putOnDisk, statIfThere } from "../../host/files/mod.ts";
import { StateVersionError } from "./errors.ts";
import type { LayerIdentity } from "./identity.ts";
import { SharedRun } from "./shared_run.ts";

/** Changes when the table does. */
const SCHEMA_VERSION = 1;

/** Slots a kernel nodeid can name: its high half holds the slot, and 0 is the mount's own root. */
const MAX_SLOT = 2 ** 32 - 1;

/** A layer that is, or was, served. */
export interface SlotRecord extends LayerIdentity {
  /** ≥ 1; the layer's directory under the FUSE mount and the high half of its nodeids. */
  readonly slot: number;
}

/** No slot is left: the state folder has served 2^32 layers. */
export class SlotsExhaustedError extends Error {
  /** The class's name, for logs. */
  override readonly name = "SlotsExhaustedError";
}

/**
 * Which slot a layer has, kept in SQLite. A slot is never given to another layer, not even after
 * it was removed: the kernel may still remember nodeids of it.
 */
export class SlotTableStore implements Disposable {
  readonly #database: DatabaseSync;
  readonly #syncing: SharedRun;

  /**
   * Opens the table.
   * @param path the database file; made when missing.
   * @param options.access `read`: another process owns it.
   * @throws StateVersionError
   */
  constructor(path: string, options: { access?: "own" | "read" } = {}) {
    const readOnly = options.access === "read";
    this.#database = new DatabaseSync(path, { readOnly });
    // SQLite appends each transaction to this file before it reaches the database file.
    this.#syncing = new SharedRun(() => putOnDisk(`${path}-wal`));
    const version = Number(
      this.#database.prepare("PRAGMA user_version").get()?.user_version,
    );
    if (version > SCHEMA_VERSION) {
      this.#database.close();
      throw new StateVersionError(
        path,
        `written by a newer release (schema ${version}, this one knows ${SCHEMA_VERSION})`,
      );
    }
    if (readOnly) return;
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA user_version = ${SCHEMA_VERSION};
      CREATE TABLE IF NOT EXISTS slots (
        slot INTEGER PRIMARY KEY AUTOINCREMENT,
        layer_digest TEXT NOT NULL,
        ztoc_digest TEXT NOT NULL,
        UNIQUE (layer_digest, ztoc_digest)
      ) STRICT;
      CREATE TABLE IF NOT EXISTS condemned (
        layer_digest TEXT NOT NULL,
        ztoc_digest TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (layer_digest, ztoc_digest)
      ) STRICT;
      PRAGMA synchronous = NORMAL;
    `);
  }

  /** Whether there is a table at `path`. */
  static exists(path: string): boolean {
    return statIfThere(path)?.isFile ?? false;
  }

  /**
   * Resolves when every change made so far would survive a power loss. Changes that were not synced may
   * be lost in one, but not when only this process ends. @throws FileError
   */
  sync(): Promise<void> {
    return this.#syncing.run();
  }

  /** The layer's slot; assigns one if it has none. Call `sync` before others rely on a new slot. */
  assign({ layerDigest, ztocDigest }: LayerIdentity): SlotRecord {
    const known = this.#database
      .prepare(
        "SELECT slot FROM slots WHERE layer_digest = ? AND ztoc_digest = ?",
      )
      .get(layerDigest, ztocDigest);
    if (known !== undefined) {
      return { slot: Number(known.slot), layerDigest, ztocDigest };
    }
    const { lastInsertRowid } = this.#database
      .prepare("INSERT INTO slots (layer_digest, ztoc_digest) VALUES (?, ?)")
      .run(layerDigest, ztocDigest);
    const slot = Number(lastInsertRowid);
    if (slot > MAX_SLOT) {
      throw new SlotsExhaustedError(`slot ${slot} is beyond ${MAX_SLOT}`);
    }
    return { slot, layerDigest, ztocDigest };
  }

  /** Remembers that a ztoc lies about a layer; durable after `sync`. */
  condemn({ layerDigest, ztocDigest }: LayerIdentity, reason: string): void {
    this.#database.prepare(
      "INSERT OR REPLACE INTO condemned (layer_digest, ztoc_digest, reason) VALUES (?, ?, ?)",
    ).run(layerDigest, ztocDigest, reason);
  }

  /** Why a ztoc must not be used for a layer; null if it may be. */
  condemned({ layerDigest, ztocDigest }: LayerIdentity): string | null {
    const row = this.#database.prepare(
      "SELECT reason FROM condemned WHERE layer_digest = ? AND ztoc_digest = ?",
    ).get(layerDigest, ztocDigest);
    return row === undefined ? null : String(row.reason);
  }

  /** Every slot that is in use, in order. */
  all(): SlotRecord[] {
    return this.#database
      .prepare(
        "SELECT slot, layer_digest, ztoc_digest FROM slots ORDER BY slot",
      )
      .all()
      .map((row) => ({
        slot: Number(row.slot),
        layerDigest: String(row.layer_digest),
        ztocDigest: String(row.ztoc_digest),
      }));
  }

  /** Forgets a layer; its slot stays unused for good. */
  remove(slot: number): void {
    this.#database.prepare("DELETE FROM slots WHERE slot = ?").run(slot);
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** The slot of a layer that is, or was, shown in `…/<slot>`; null for another directory. */
export function slotOf(directory: string | null): number | null {
  const [, digits] = /\/([1-9][0-9]{0,9})$/.exec(directory ?? "") ?? [];
  return digits === undefined ? null : Number(digits);
}
