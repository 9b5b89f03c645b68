import type { DatabaseSync } from "node:sqlite";
import {
  openDatabase,
  putOnDisk,
  readDatabase,
  statIfThere,
  withRoom,
} from "../../host/files/mod.ts";
import { StateVersionError } from "./errors.ts";
import type { LayerIdentity } from "./identity.ts";
import { SharedRun } from "./shared_run.ts";
import { type SlotMark, writeSlotMark } from "./slot_files.ts";

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
  readonly #markPath: string | null;
  readonly #giveRoom: () => boolean;
  /** Of this database, as `SlotMark` says it; empty in one of an older release that was only read. */
  readonly generation: string;
  /** Whether the database was made just now, or is of a release that gave it no generation. */
  readonly origin: "kept" | "made" | "adopted";

  /**
   * Opens the table. Nothing is written when all is there already.
   * @param path the database file; made when missing.
   * @param options.access `read`: another process owns it.
   * @param options.giveRoom frees disk that was set aside; whether there was some.
   * @param options.markPath where the highest slot is written down, before it is given out.
   * @throws StateVersionError; SQLite's errors, also when the file is damaged
   */
  constructor(
    path: string,
    options: {
      access?: "own" | "read";
      markPath?: string;
      giveRoom?: () => boolean;
    } = {},
  ) {
    this.#giveRoom = options.giveRoom ?? (() => false);
    const readOnly = options.access === "read";
    this.#markPath = options.markPath ?? null;
    const { database, kept } = readOnly
      ? { database: readDatabase(path), kept: "on disk" }
      : openDatabase(path);
    this.#database = database;
    // Where SQLite writes what is not in the database file yet, in whole transactions.
    this.#syncing = new SharedRun(async () => {
      if (kept === "on disk") await putOnDisk(`${path}-wal`);
    });
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
    if (readOnly) {
      this.generation = "";
      this.origin = "kept";
      return;
    }
    try {
      this.origin = version === 0 ? "made" : "kept";
      if (version < SCHEMA_VERSION) this.#migrate();
      const known = this.#generation();
      if (known === null && version > 0) this.origin = "adopted";
      this.generation = known ?? this.#setGeneration();
      this.#database.exec("PRAGMA synchronous = NORMAL");
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Makes the tables. */
  #migrate(): void {
    this.#database.exec(`
      PRAGMA synchronous = FULL;
      BEGIN IMMEDIATE;
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
      COMMIT;
    `);
  }

  #generation(): string | null {
    const table = this.#database.prepare(
      "SELECT 1 FROM sqlite_schema WHERE name = 'generation'",
    ).get();
    if (table === undefined) return null;
    const row = this.#database.prepare("SELECT id FROM generation").get();
    return row === undefined ? null : String(row.id);
  }

  #setGeneration(): string {
    const id = crypto.randomUUID();
    this.#database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS generation (id TEXT NOT NULL) STRICT;
      INSERT INTO generation VALUES ('${id}');
      COMMIT;
    `);
    return id;
  }

  /** The highest slot ever given, of which generation. */
  get mark(): SlotMark {
    const row = this.#database.prepare(
      "SELECT seq FROM sqlite_sequence WHERE name = 'slots'",
    ).get();
    return { generation: this.generation, highest: Number(row?.seq ?? 0) };
  }

  /** Gives no slot up to this one from now on, whatever the table says. */
  startAbove(highest: number): void {
    if (this.mark.highest >= highest) return;
    this.#database.exec("DELETE FROM sqlite_sequence WHERE name = 'slots'");
    this.#database.prepare(
      "INSERT INTO sqlite_sequence (name, seq) VALUES ('slots', ?)",
    ).run(highest);
  }

  /**
   * Puts back what the table should say of a slot.
   * @returns false when it says so already, or has the layer in another slot.
   */
  restore({ slot, layerDigest, ztocDigest }: SlotRecord): boolean {
    const { changes } = this.#database.prepare(`
      INSERT INTO slots (slot, layer_digest, ztoc_digest) SELECT ?1, ?2, ?3
      WHERE NOT EXISTS (SELECT 1 FROM slots WHERE layer_digest = ?2 AND ztoc_digest = ?3)
      ON CONFLICT (slot) DO UPDATE SET layer_digest = ?2, ztoc_digest = ?3`)
      .run(slot, layerDigest, ztocDigest);
    return Number(changes) > 0;
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
    const { generation, highest } = this.mark;
    if (this.#markPath !== null) { // first: whatever becomes of the table, it was given
      writeSlotMark(this.#markPath, { generation, highest: highest + 1 });
    }
    const insert = this.#database.prepare(
      "INSERT INTO slots (layer_digest, ztoc_digest) VALUES (?, ?)",
    );
    const { lastInsertRowid } = withRoom(
      () => insert.run(layerDigest, ztocDigest),
      this.#giveRoom,
    );
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
    const remove = this.#database.prepare("DELETE FROM slots WHERE slot = ?");
    withRoom(() => remove.run(slot), this.#giveRoom);
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
