import { DatabaseSync } from "node:sqlite";
import { putOnDisk, statIfThere } from "../../host/files/mod.ts";
import { StateVersionError } from "./errors.ts";
import type { LayerIdentity } from "./identity.ts";
import { CoalescedTask } from "./coalesced_task.ts";

/** Raised when the tables change. */
const SCHEMA_VERSION = 1;

/** The highest slot that a kernel nodeid can hold, in its high half. 0 is the mount's own root. */
const MAX_SLOT = 2 ** 32 - 1;

/** The slot of a layer that is or was served. */
export interface SlotRecord extends LayerIdentity {
  /** ≥ 1: the name of the layer's directory under the FUSE mount, and the high half of its nodeids. */
  readonly slot: number;
}

/** No slot is left: this state folder has served 2^32 layers. */
export class SlotsExhaustedError extends Error {
  /** The class's name, for logs. */
  override readonly name = "SlotsExhaustedError";
}

/**
 * The slots of layers, in SQLite. A slot is never given to another layer, not even after its layer was
 * removed, because the kernel may still remember its nodeids.
 */
export class SlotTableStore implements Disposable {
  readonly #database: DatabaseSync;
  readonly #syncing: CoalescedTask;

  /**
   * Opens the table.
   * @param path the database file; made when missing.
   * @param options.access `read`: another process owns the table.
   * @throws StateVersionError
   */
  constructor(path: string, options: { access?: "own" | "read" } = {}) {
    const readOnly = options.access === "read";
    this.#database = new DatabaseSync(path, { readOnly });
    // SQLite appends each transaction to this file before it reaches the database file.
    this.#syncing = new CoalescedTask(() => putOnDisk(`${path}-wal`));
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

  /** Whether there is a table at a path. */
  static exists(path: string): boolean {
    return statIfThere(path)?.isFile ?? false;
  }

  /**
   * Resolves when every change so far would survive a power loss. Without it, changes survive the end of
   * this process, but may be lost in a power loss. @throws FileError
   */
  sync(): Promise<void> {
    return this.#syncing.run();
  }

  /** The layer's slot; a new one if it has none. Call `sync` before others rely on a new slot. */
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

  /** Remembers that a ztoc lies about a layer. Durable after `sync`. */
  condemn({ layerDigest, ztocDigest }: LayerIdentity, reason: string): void {
    this.#database.prepare(
      "INSERT OR REPLACE INTO condemned (layer_digest, ztoc_digest, reason) VALUES (?, ?, ?)",
    ).run(layerDigest, ztocDigest, reason);
  }

  /** Why a ztoc must not be used for a layer; null if it may. */
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

  /** Forgets a layer. Its slot is never used again. */
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
