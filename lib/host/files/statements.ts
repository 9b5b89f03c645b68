import type { DatabaseSync, StatementSync } from "node:sqlite";

/** The statements of a database, each compiled once. They end with the database. */
export class Statements {
  readonly #database: DatabaseSync;
  readonly #known = new Map<string, StatementSync>();

  /** Compiles nothing yet. @param database stays the caller's. */
  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** A statement, ready to run. @param sql one of a few texts: each is kept. @throws SQLite's errors */
  of(sql: string): StatementSync {
    return this.#known.getOrInsertComputed(
      sql,
      (sql) => this.#database.prepare(sql),
    );
  }
}
