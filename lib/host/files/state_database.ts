import type { DatabaseSync } from "node:sqlite";
import { logger } from "../../telemetry/mod.ts";
import {
  isDamagedDatabase,
  type OpenDatabase,
  openDatabase,
  putDatabaseAside,
  type SpareRoom,
  transaction,
  withRoom,
} from "./database.ts";
import { type DroppedRow, RowSums } from "./row_sums.ts";
import { Statements } from "./statements.ts";

const log = logger("files");

/** How a database of state is opened. */
export interface StateDatabaseOptions {
  /** Looks whether this release knows its tables. @throws an error, which is passed on */
  readonly assertKnown: (database: DatabaseSync) => void;
  /** Makes tables that are not there yet, within a transaction. @returns whether there were any to make */
  readonly makeTables: (database: DatabaseSync) => boolean;
  /** For writes that find the disk full. */
  readonly spare?: SpareRoom;
  /** `refuse`: an error, and nothing is changed. Default: what cannot be trusted is taken out. */
  readonly whenDamaged?: "repair" | "refuse";
}

/**
 * A database of state, owned by this process. It has a generation, a name that no other one has, and a checksum of
 * each row. One that cannot be read is put aside and begun anew; rows that are not what was written are taken out.
 * What was found is told by its properties, and is for the caller to tell others.
 *
 * Opening one that is whole writes nothing.
 */
export class StateDatabase implements Disposable {
  /** Open, for statements; what they write is written by `write` or `transaction`. */
  readonly database: DatabaseSync;
  /** Those that are used again and again. */
  readonly statements: Statements;
  /** `in memory`: its disk is read-only, what is written is known to this process alone. */
  readonly kept: "on disk" | "in memory";
  /** Names it: another one has another. */
  readonly generation: string;
  /** `made`: there was none. `adopted`: it is of a release that gave no generation. */
  readonly origin: "kept" | "made" | "adopted";
  /** What was wrong with one that was put aside, as `<path>.damaged`; null: none was. */
  readonly aside: string | null;
  /** Rows that were taken out, because they were damaged or refer to such. */
  readonly dropped: readonly DroppedRow[];
  readonly #spare: SpareRoom | null;

  private constructor(
    { database, kept }: OpenDatabase,
    options: StateDatabaseOptions,
    aside: string | null,
  ) {
    this.database = database;
    this.statements = new Statements(database);
    this.kept = kept;
    this.aside = aside;
    this.#spare = options.spare ?? null;
    const isNew = this.#isEmpty();
    const sums = new RowSums(database);
    const had = this.#facts();
    this.#putVersionRight(had, sums);
    options.assertKnown(database);
    const damaged = sums.check();
    if (damaged.length > 0 && options.whenDamaged === "refuse") {
      throw new Error(
        `database disk image is malformed: ${damaged.length} entries were changed`,
      );
    }
    this.dropped = damaged.length === 0 ? [] : sums.drop(damaged);
    const made = options.makeTables(database);
    if (made && had !== null) {
      database.exec(`UPDATE generation SET schema = ${this.#version()}`);
    }
    const known = this.#facts()?.generation;
    this.origin = isNew ? "made" : sums.isThere ? "kept" : "adopted";
    this.generation = known ?? this.#setGeneration();
    sums.watch({ made: made || known === undefined });
  }

  /** Opens one; makes it when it is missing. @throws SQLite's errors, Deno's errors, what `assertKnown` throws */
  static open(path: string, options: StateDatabaseOptions): StateDatabase {
    try {
      return StateDatabase.#open(path, options, null);
    } catch (error) {
      if (!isDamagedDatabase(error) || options.whenDamaged === "refuse") {
        throw error;
      }
      putDatabaseAside(path);
      const why = error instanceof Error ? error.message : String(error);
      return StateDatabase.#open(path, options, why);
    }
  }

  static #open(
    path: string,
    options: StateDatabaseOptions,
    aside: string | null,
  ): StateDatabase {
    const opened = openDatabase(path);
    try {
      return new StateDatabase(opened, options, aside);
    } catch (error) {
      opened.database.close();
      throw error;
    }
  }

  #isEmpty(): boolean {
    return this.database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1")
      .get() === undefined;
  }

  /** Null where no release wrote them, or they cannot be read. */
  #facts(): { generation: string; schema: number } | null {
    try {
      const row = this.database.prepare("SELECT id, schema FROM generation")
        .get();
      return row === undefined
        ? null
        : { generation: String(row.id), schema: Number(row.schema) };
    } catch {
      return null; // no such table: an older release's, or one whose tables were changed
    }
  }

  #version(): number {
    const row = this.database.prepare("PRAGMA user_version").get();
    return Number(row?.user_version);
  }

  /** The version is in the file's header, which has no checksum. */
  #putVersionRight(facts: { schema: number } | null, sums: RowSums): void {
    const found = this.#version();
    if (facts === null || facts.schema === found) return;
    if (!sums.isWhole("generation", 1)) return;
    log.warn("the version in a database's header was changed", {
      found,
      is: facts.schema,
    });
    this.database.exec(`PRAGMA user_version = ${facts.schema}`);
  }

  /** After the tables were made. @returns a new generation */
  #setGeneration(): string {
    const id = crypto.randomUUID();
    this.database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS generation (
        id TEXT NOT NULL, schema INTEGER NOT NULL, changes INTEGER NOT NULL
      ) STRICT;
      INSERT INTO generation (rowid, id, schema, changes) VALUES (1, '${id}', ${this.#version()}, 0);
      COMMIT;`);
    return id;
  }

  /** How many transactions were committed. */
  get changes(): number {
    const row = this.statements.of("SELECT changes FROM generation").get();
    return Number(row?.changes ?? 0);
  }

  /** Runs work as one transaction, which is counted; again when the disk was full and room was set aside. */
  transaction<T>(work: () => T): T {
    return this.write(() =>
      transaction(this.database, () => {
        const result = work();
        this.statements.of("UPDATE generation SET changes = changes + 1").run();
        return result;
      })
    );
  }

  /** Writes; again when the disk was full and room was set aside. @throws what `write` throws */
  write<T>(write: () => T): T {
    return withRoom(write, this.#spare);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.database.close();
  }
}
