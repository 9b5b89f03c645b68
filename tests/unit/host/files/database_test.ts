/** Databases on disks as they are. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  openDatabase,
  transaction,
} from "../../../../lib/host/files/database.ts";

Deno.test("a transaction that SQLite took back itself fails with what happened, not with the second rollback", () => {
  const path = Deno.makeTempFileSync();
  const { database } = openDatabase(path);
  database.exec("CREATE TABLE t (x); PRAGMA max_page_count = 3");
  assert.throws(
    () =>
      transaction(database, () => {
        const insert = database.prepare(
          "INSERT INTO t VALUES (zeroblob(4000))",
        );
        for (let i = 0; i < 100; i++) insert.run();
      }),
    /database or disk is full/,
  );
  database.close();
});

Deno.test("opening a database that is there writes nothing", () => {
  const path = Deno.makeTempFileSync();
  openDatabase(path).database.exec("CREATE TABLE t (x)");
  const before = new DatabaseSync(path);
  before.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  before.close();
  const bytes = Deno.readFileSync(path);
  const { database } = openDatabase(path);
  assert.equal(Deno.statSync(`${path}-wal`).size, 0);
  database.close();
  assert.deepEqual(Deno.readFileSync(path), bytes);
});
