/**
 * Checksums of the rows of a SQLite database, in a table of it: SQLite finds a torn structure, but no changed value.
 * @module
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { crc32 } from "node:zlib";

const SUMS = "row_sums";

/** A row that is not what was written. */
export interface DamagedRow {
  /** Its table. */
  readonly table: string;
  /** Its rowid. */
  readonly id: number;
  /** `changed`: a value of it, or its checksum. `unwritten`: nobody wrote it. `lost`: it was written, and is not there. */
  readonly found: "changed" | "unwritten" | "lost";
}

/** A row that was taken out. */
export interface DroppedRow extends DamagedRow {
  /** As they were found; null where only the checksum was there. */
  readonly values: Readonly<Record<string, unknown>> | null;
  /** Whether it was whole, but refers to a row that was taken out. */
  readonly because: "damage" | "reference";
}

/**
 * Keeps a checksum of each row. The checksums are written by triggers of this connection, so in the same transaction.
 * Only rowid tables are covered.
 *
 * ```text
 * check ──► (drop) ──► (the tables may be made, or changed) ──► watch
 * ```
 */
export class RowSums {
  readonly #database: DatabaseSync;

  /** Writes nothing. @param database stays the caller's. */
  constructor(database: DatabaseSync) {
    this.#database = database;
    database.function(
      "row_sum",
      { varargs: true, deterministic: true },
      (...values: SQLInputValue[]) => crc32(JSON.stringify(values)) >>> 0,
    );
  }

  /** Whether there are checksums: not in databases of releases that made none. */
  get isThere(): boolean {
    return this.#database.prepare(
      "SELECT 1 FROM main.sqlite_schema WHERE name = ?",
    ).get(SUMS) !== undefined;
  }

  /**
   * Compares all rows with their checksums; none is damaged where there are none.
   * @throws Error when the tables themselves are not those that were made
   */
  check(): DamagedRow[] {
    if (!this.isThere) return [];
    const known = this.#database.prepare(
      `SELECT sum FROM main.${SUMS} WHERE name = '' AND id = 0`,
    ).get();
    if (known?.sum !== this.#schemaSum()) {
      throw new Error(
        "database disk image is malformed: its tables are not those that were made",
      );
    }
    return this.#tables().flatMap(({ table, columns }) =>
      this.#database.prepare(`
        SELECT t.rowid AS id, iif(s.sum IS NULL, 'unwritten', 'changed') AS found
        FROM main."${table}" t LEFT JOIN main.${SUMS} s ON s.name = ?1 AND s.id = t.rowid
        WHERE s.sum IS NOT ${sumOf("t", columns)}
        UNION ALL
        SELECT s.id, 'lost' FROM main.${SUMS} s
        WHERE s.name = ?1 AND s.id NOT IN (SELECT rowid FROM main."${table}")`)
        .all(table)
        .map(({ id, found }) => ({
          table,
          id: Number(id),
          found: found as DamagedRow["found"],
        }))
    );
  }

  /** Whether one row is what was written. */
  isWhole(table: string, id: number): boolean {
    if (!this.isThere) return false;
    const found = this.#tables().find((one) => one.table === table);
    return found !== undefined && this.#database.prepare(`
      SELECT 1 FROM main."${table}" t JOIN main.${SUMS} s ON s.name = ?1 AND s.id = t.rowid
      WHERE t.rowid = ?2 AND s.sum = ${sumOf("t", found.columns)}`)
          .get(table, id) !== undefined;
  }

  /** Of the texts that made tables and indexes. */
  #schemaSum(): number {
    const texts = this.#database.prepare(
      "SELECT type, name, sql FROM main.sqlite_schema ORDER BY type, name",
    ).all();
    return crc32(JSON.stringify(texts)) >>> 0;
  }

  /** Takes damaged rows out, and those that refer to them. @returns all of these */
  drop(damaged: readonly DamagedRow[]): DroppedRow[] {
    const dropped: DroppedRow[] = [];
    const take = (row: DamagedRow, because: DroppedRow["because"]) => {
      const where = `FROM main."${row.table}" WHERE rowid = ?`;
      const values = this.#database.prepare(`SELECT * ${where}`).get(row.id);
      dropped.push({ ...row, because, values: values ?? null });
      this.#database.prepare(`DELETE ${where}`).run(row.id);
      this.#database.prepare(
        `DELETE FROM main.${SUMS} WHERE name = ? AND id = ?`,
      )
        .run(row.table, row.id);
    };
    this.#database.exec("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE");
    try {
      for (const row of damaged) take(row, "damage");
      for (;;) {
        const dangling = this.#database.prepare("PRAGMA main.foreign_key_check")
          .all();
        if (dangling.length === 0) break;
        for (const { table, rowid } of dangling) {
          take(
            { table: String(table), id: Number(rowid), found: "changed" },
            "reference",
          );
        }
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#database.exec("PRAGMA foreign_keys = ON");
    }
    return dropped;
  }

  /**
   * Keeps checksums of all tables from now on. Where there are some, nothing is written.
   * @param options.made whether the tables were made or changed just now: all are summed up anew.
   */
  watch(options: { readonly made: boolean }): void {
    const tables = this.#tables();
    if (options.made || !this.isThere) {
      const sums = tables.map(({ table, columns }) => `
        INSERT INTO main.${SUMS} SELECT '${table}', t.rowid, ${
        sumOf("t", columns)
      } FROM main."${table}" t;`);
      this.#database.exec(`
        BEGIN IMMEDIATE;
        DROP TABLE IF EXISTS main.${SUMS};
        CREATE TABLE main.${SUMS} (
          name TEXT NOT NULL,
          id INTEGER NOT NULL,
          sum INTEGER NOT NULL,
          PRIMARY KEY (name, id)
        ) STRICT, WITHOUT ROWID;
        ${sums.join("\n")}
        COMMIT;`);
      this.#database.prepare(`INSERT INTO main.${SUMS} VALUES ('', 0, ?)`)
        .run(this.#schemaSum());
    }
    this.#database.exec("PRAGMA temp_store = MEMORY");
    for (const { table, columns } of tables) {
      const put = `INSERT OR REPLACE INTO ${SUMS}
        VALUES ('${table}', NEW.rowid, ${sumOf("NEW", columns)});`;
      const take =
        `DELETE FROM ${SUMS} WHERE name = '${table}' AND id = OLD.rowid;`;
      this.#database.exec(`
        CREATE TEMP TRIGGER "${table}_added" AFTER INSERT ON main."${table}" BEGIN ${put} END;
        CREATE TEMP TRIGGER "${table}_changed" AFTER UPDATE ON main."${table}" BEGIN ${take} ${put} END;
        CREATE TEMP TRIGGER "${table}_removed" AFTER DELETE ON main."${table}" BEGIN ${take} END;`);
    }
  }

  #tables(): { readonly table: string; readonly columns: readonly string[] }[] {
    const names = this.#database.prepare(`
      SELECT name FROM main.sqlite_schema
      WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ?`)
      .all(SUMS).map(({ name }) => String(name));
    return names.map((table) => ({
      table,
      columns: this.#database.prepare(`PRAGMA main.table_info("${table}")`)
        .all().map(({ name }) => String(name)),
    }));
  }
}

function sumOf(of: string, columns: readonly string[]): string {
  return `row_sum(${
    [`${of}.rowid`, ...columns.map((name) => `${of}."${name}"`)].join(", ")
  })`;
}
