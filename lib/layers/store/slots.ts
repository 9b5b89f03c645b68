import type { DatabaseSync } from "node:sqlite";
import {
  CoalescedTask,
  putOnDisk,
  readDatabase,
  type SpareRoom,
  StateDatabase,
  Statements,
  statIfThere,
  writeMark,
} from "../../host/files/mod.ts";
import { bootId } from "../../host/os/mod.ts";
import type { LayerIdentity } from "./identity.ts";
import type { SlotRow } from "./slot_files.ts";
import { assertKnown, makeTables } from "./slot_schema.ts";

/** A layer that holds no bytes of a start pack. */
export const NO_PACK = "";

/** The domain of a layer that somebody's registry has shown: whoever shows it too may use it. */
export const SHARED = "";

/** The highest slot that a kernel nodeid can hold, in its high half. 0 is the mount's own root. */
const MAX_SLOT = 2 ** 32 - 1;

/** The slot of a layer that is or was served. */
export interface SlotRecord extends LayerIdentity {
  /** ≥ 1: the name of the layer's directory under the FUSE mount, and the high half of its nodeids. */
  readonly slot: number;
  /** Diff ID that its images give it; empty when none is known. */
  readonly diffId: string;
  /** `SHARED`, or the only claimant that may use it because nothing of it was shown yet. */
  readonly domain: string;
  /**
   * `NO_PACK`, or the digest of the load order whose pack's bytes it may hold: nobody can check those before
   * their spans come, so they are seen by containers of images with that pack alone.
   */
  readonly pack: string;
}

/** Tells apart the served layers of one identity. */
export type SlotPlace =
  & Pick<SlotRecord, "diffId" | "domain">
  & Partial<Pick<SlotRecord, "pack">>;

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
  readonly #statements: Statements;
  readonly #state: StateDatabase | null;
  readonly #markPath: string | null;
  readonly #syncing: CoalescedTask;

  /**
   * Opens the table. Nothing is written when it is there and whole.
   * @param path the database file; made when missing.
   * @param options.access `read`: another process owns the table.
   * @param options.markPath where the highest slot is written down before it is given out.
   * @param options.spare for writes that find the disk full.
   * @throws StateVersionError; SQLite's errors
   */
  constructor(
    path: string,
    options: {
      readonly access?: "own" | "read";
      readonly markPath?: string;
      readonly spare?: SpareRoom;
    } = {},
  ) {
    const { access = "own", markPath = null, spare } = options;
    this.#markPath = markPath;
    this.#state = access === "read" ? null : StateDatabase.open(path, {
      assertKnown: (database) => assertKnown(database, path),
      makeTables,
      ...(spare !== undefined && { spare }),
    });
    this.#database = this.#state?.database ?? readDatabase(path);
    this.#statements = new Statements(this.#database);
    // SQLite appends each transaction to this file before it reaches the database file.
    this.#syncing = new CoalescedTask(async () => {
      if (this.#state?.kept !== "in memory") await putOnDisk(`${path}-wal`);
    });
    if (access === "own") {
      this.#database.exec("PRAGMA synchronous = NORMAL");
      return;
    }
    try {
      assertKnown(this.#database, path);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** Names the database, as `StateDatabase` says it; empty in one of another process. */
  get generation(): string {
    return this.#state?.generation ?? "";
  }

  /** Whether the database was made just now, or is of a release that gave it no generation. */
  get origin(): StateDatabase["origin"] {
    return this.#state?.origin ?? "kept";
  }

  /** What was found wrong in the file; null: nothing. */
  get damage(): string | null {
    if (this.#state === null) return null;
    const { aside, dropped } = this.#state;
    if (aside !== null) return `it cannot be read (${aside}), and is put aside`;
    return dropped.length === 0
      ? null
      : `${dropped.length} entries of it were changed, and are taken out`;
  }

  /** The highest slot that was ever given. */
  get highest(): number {
    const row = this.#statements.of(
      "SELECT seq FROM sqlite_sequence WHERE name = 'slots'",
    ).get();
    return Number(row?.seq ?? 0);
  }

  /** Gives no slot up to this one from now on, whatever the table says. */
  startAbove(highest: number): void {
    if (this.highest >= highest) return;
    this.#write(() => {
      this.#database.exec("DELETE FROM sqlite_sequence WHERE name = 'slots'");
      this.#statements.of(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('slots', ?)",
      ).run(highest);
    });
  }

  /** A row as its layer's folder keeps it; null when the slot is not in use. */
  row(slot: number): SlotRow | null {
    const row = this.#statements.of("SELECT * FROM slots WHERE slot = ?")
      .get(slot);
    return (row ?? null) as SlotRow | null;
  }

  /** Puts a row back, as a folder has it. @returns false when the slot, or the layer, has one already. */
  restore(row: SlotRow): boolean {
    const columns = this.#statements.of("PRAGMA table_info(slots)").all()
      .map(({ name }) => String(name));
    const { changes } = this.#write(() =>
      this.#statements.of(`
        INSERT OR IGNORE INTO slots (${columns.join(", ")})
        VALUES (${columns.map(() => "?").join(", ")})`)
        .run(...columns.map((name) => row[name] ?? ""))
    );
    return Number(changes) > 0;
  }

  #write<T>(write: () => T): T {
    return this.#state === null ? write() : this.#state.write(write);
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

  /**
   * The layer's slot; a new one if it has none. Call `sync` before others rely on a new slot.
   * @param place default: shared, without a diff ID.
   */
  assign(
    { layerDigest, ztocDigest }: LayerIdentity,
    { diffId, domain, pack = NO_PACK }: SlotPlace = {
      diffId: "",
      domain: SHARED,
    },
  ): SlotRecord {
    const place = { layerDigest, ztocDigest, diffId, domain, pack };
    const known = this.#statements.of(
      `SELECT slot FROM slots
       WHERE layer_digest = ? AND ztoc_digest = ? AND diff_id = ? AND domain = ? AND pack_digest = ?`,
    ).get(layerDigest, ztocDigest, diffId, domain, pack);
    if (known !== undefined) return { slot: Number(known.slot), ...place };
    this.#markNext();
    const insert = this.#statements.of(
      "INSERT INTO slots (layer_digest, ztoc_digest, diff_id, domain, pack_digest) VALUES (?, ?, ?, ?, ?)",
    );
    const { lastInsertRowid } = this.#write(() =>
      insert.run(layerDigest, ztocDigest, diffId, domain, pack)
    );
    const slot = Number(lastInsertRowid);
    if (slot > MAX_SLOT) {
      throw new SlotsExhaustedError(`slot ${slot} is beyond ${MAX_SLOT}`);
    }
    return { slot, ...place };
  }

  /** The record of a slot; null when the slot is not in use. */
  get(slot: number): SlotRecord | null {
    const row = this.#statements.of("SELECT * FROM slots WHERE slot = ?")
      .get(slot);
    return row === undefined ? null : slotRecord(row);
  }

  /** Stores the diff ID of a layer that an older release opened. */
  setDiffId(slot: number, diffId: string): void {
    this.#statements.of(
      "UPDATE OR IGNORE slots SET diff_id = ? WHERE slot = ? AND diff_id = ''",
    ).run(diffId, slot);
  }

  /** A claimant uses a layer. A proven claim stays proven until the slot ends. */
  claim(slot: number, claimant: string, claim: "proven" | "unproven"): void {
    this.#statements.of(`
      INSERT INTO claims (slot, claimant, proven) VALUES (?, ?, ?)
      ON CONFLICT (slot, claimant) DO UPDATE SET proven = max(proven, excluded.proven)`)
      .run(slot, claimant, Number(claim === "proven"));
  }

  /** A claimant's claim on a layer; null when it has none. */
  claimOf(slot: number, claimant: string): "proven" | "unproven" | null {
    const row = this.#statements.of(
      "SELECT proven FROM claims WHERE slot = ? AND claimant = ?",
    ).get(slot, claimant);
    if (row === undefined) return null;
    return row.proven === 0 ? "unproven" : "proven";
  }

  /** Whether the layer has claims and none of them is proven. */
  isUnproven(slot: number): boolean {
    const row = this.#statements.of(
      "SELECT count(*) AS claims, coalesce(sum(proven), 0) AS proven FROM claims WHERE slot = ?",
    ).get(slot);
    return Number(row?.claims) > 0 && row?.proven === 0;
  }

  /**
   * The registries of all who claim the layer have shown it. Their claims are proven now, and the layer becomes
   * shared, unless there is a shared one already.
   */
  prove(slot: number): void {
    this.#statements.of("UPDATE claims SET proven = 1 WHERE slot = ?")
      .run(slot);
    this.#statements.of(
      "UPDATE OR IGNORE slots SET domain = ? WHERE slot = ?",
    ).run(SHARED, slot);
  }

  /**
   * Remembers that a ztoc lies about a layer. Durable after `sync`.
   * @param diffId the lie concerns only images that give the layer this diff ID; empty: all images.
   */
  condemn(
    { layerDigest, ztocDigest }: LayerIdentity,
    reason: string,
    diffId = "",
  ): void {
    this.#statements.of(
      "INSERT OR REPLACE INTO condemned (layer_digest, ztoc_digest, diff_id, reason) VALUES (?, ?, ?, ?)",
    ).run(layerDigest, ztocDigest, diffId, reason);
  }

  /**
   * Why a ztoc must not be used for a layer; null if it may.
   * @param diffId that the image gives the layer; empty: a lie about any diff ID counts.
   */
  condemned(
    { layerDigest, ztocDigest }: LayerIdentity,
    diffId = "",
  ): string | null {
    const row = this.#statements.of(
      `SELECT reason FROM condemned
       WHERE layer_digest = ? AND ztoc_digest = ? AND (? = '' OR diff_id IN ('', ?))`,
    ).get(layerDigest, ztocDigest, diffId, diffId);
    return row === undefined ? null : String(row.reason);
  }

  /** Remembers that a pack held other bytes than a layer, as a ztoc's spans showed. Durable after `sync`. */
  condemnPack(
    pack: string,
    { layerDigest, ztocDigest }: LayerIdentity,
    reason: string,
  ): void {
    this.#statements.of(
      "INSERT OR REPLACE INTO condemned_packs (pack_digest, layer_digest, ztoc_digest, reason) VALUES (?, ?, ?, ?)",
    ).run(pack, layerDigest, ztocDigest, reason);
  }

  /**
   * Why a pack must not be used for an image; null if it may. Who finds out speaks for images alone that have
   * that layer by that ztoc.
   * @param layers of the image.
   */
  condemnedPack(
    pack: string,
    layers: readonly LayerIdentity[],
  ): string | null {
    const rows = this.#statements.of(
      "SELECT layer_digest, ztoc_digest, reason FROM condemned_packs WHERE pack_digest = ?",
    ).all(pack);
    const row = rows.find((row) =>
      layers.some(({ layerDigest, ztocDigest }) =>
        row.layer_digest === layerDigest && row.ztoc_digest === ztocDigest
      )
    );
    return row === undefined ? null : String(row.reason);
  }

  /** Every slot that is in use, in order. */
  all(): SlotRecord[] {
    return this.#statements.of("SELECT * FROM slots ORDER BY slot").all()
      .map(slotRecord);
  }

  /** Slots of one layer, in order. */
  ofLayer(layerDigest: string): SlotRecord[] {
    return this.#statements.of(
      "SELECT * FROM slots WHERE layer_digest = ? ORDER BY slot",
    ).all(layerDigest).map(slotRecord);
  }

  /** Forgets a layer. Its slot is never used again. */
  remove(slot: number): void {
    this.#write(() => {
      this.#statements.of("DELETE FROM slots WHERE slot = ?").run(slot);
      this.#statements.of("DELETE FROM claims WHERE slot = ?").run(slot);
    });
  }

  /** Writes down that the next slot was given before it is: whatever becomes of the table, its number is known. */
  #markNext(): void {
    if (this.#markPath === null || this.#state?.kept === "in memory") return;
    writeMark(this.#markPath, {
      generation: this.generation,
      bootId: bootId(),
      highest: this.highest + 1,
    });
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function slotRecord(row: Record<string, unknown>): SlotRecord {
  return {
    slot: Number(row.slot),
    layerDigest: String(row.layer_digest),
    ztocDigest: String(row.ztoc_digest),
    diffId: String(row.diff_id ?? ""),
    domain: String(row.domain ?? SHARED),
    pack: String(row.pack_digest ?? NO_PACK),
  };
}

/** The slot of a layer that is, or was, shown in `…/<slot>`; null for another directory. */
export function slotOf(directory: string | null): number | null {
  const [, digits] = /\/([1-9][0-9]{0,9})$/.exec(directory ?? "") ?? [];
  return digits === undefined ? null : Number(digits);
}
