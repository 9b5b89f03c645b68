/** Databases of state: whole, or what is not is known. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StateDatabase } from "../../../../lib/host/files/mod.ts";

const VERSION = 3;

function open(path: string): StateDatabase {
  return StateDatabase.open(path, {
    assertKnown: (database) => {
      const { user_version } = database.prepare("PRAGMA user_version").get()!;
      if (Number(user_version) > VERSION) throw new Error("a newer release");
    },
    makeTables: (database) => {
      const { user_version } = database.prepare("PRAGMA user_version").get()!;
      if (user_version === VERSION) return false;
      database.exec(`
        CREATE TABLE people (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          name TEXT NOT NULL UNIQUE,
          boss INTEGER REFERENCES people (id)
        ) STRICT;
        CREATE TABLE notes (person INTEGER REFERENCES people (id), note TEXT) STRICT;
        PRAGMA user_version = ${VERSION}`);
      return true;
    },
  });
}

function add(state: StateDatabase, name: string, boss: number | null): void {
  state.transaction(() => {
    const { lastInsertRowid } = state.database.prepare(
      "INSERT INTO people (name, boss) VALUES (?, ?)",
    ).run(name, boss);
    state.database.prepare("INSERT INTO notes VALUES (?, ?)")
      .run(lastInsertRowid, `note on ${name}`);
  });
}

function made(): string {
  const path = Deno.makeTempFileSync({ prefix: "soci-deno-state-" });
  using state = open(path);
  for (const [at, name] of ["anna", "bo", "cem", "dora", "eli"].entries()) {
    add(state, name, at < 2 ? null : at - 1);
  }
  return path;
}

/** Changes it behind the checksums' back. */
function change(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA foreign_keys = OFF; ${sql}`);
  database.close();
}

const names = (state: StateDatabase) =>
  state.database.prepare("SELECT name FROM people ORDER BY id").all()
    .map(({ name }) => name);

Deno.test("a database that is whole is opened without a write, and keeps its generation and count", () => {
  const path = made();
  const before = Deno.readFileSync(path);
  using state = open(path);
  assert.deepEqual(
    [state.origin, state.aside, state.dropped, state.changes],
    ["kept", null, [], 5],
  );
  assert.equal(Deno.statSync(`${path}-wal`).size, 0);
  assert.deepEqual(Deno.readFileSync(path), before);
  using other = open(made());
  assert.notEqual(other.generation, state.generation);
});

Deno.test("changes and removals of rows are summed up, too", () => {
  const path = made();
  {
    using state = open(path);
    state.transaction(() => {
      state.database.exec("UPDATE people SET name = 'Anna' WHERE id = 1");
      state.database.exec("DELETE FROM notes WHERE person = 5");
      state.database.exec("DELETE FROM people WHERE id = 5");
    });
  }
  using state = open(path);
  assert.deepEqual(state.dropped, []);
  assert.deepEqual(names(state).slice(0, 3), ["Anna", "bo", "cem"]);
});

Deno.test("a row with a changed value is taken out, and whatever refers to it", () => {
  const path = made();
  change(path, "UPDATE people SET name = 'bO' WHERE id = 2");
  using state = open(path);
  assert.deepEqual(names(state), ["anna", "cem", "eli"]); // dora's boss was bo
  assert.deepEqual(
    state.dropped.map(({ table, id, because }) => `${table} ${id} ${because}`)
      .sort(),
    [
      "notes 2 reference",
      "notes 4 reference",
      "people 2 damage",
      "people 4 reference",
    ],
  );
  assert.equal(
    state.dropped.find(({ because }) => because === "damage")?.values?.name,
    "bO",
  );
});

for (
  const [what, sql, left] of [
    ["that nobody wrote", "INSERT INTO notes VALUES (1, 'forged')", 5],
    ["that is gone", "DELETE FROM notes WHERE person = 3", 4],
    [
      "whose checksum was changed",
      "UPDATE row_sums SET sum = sum + 1 WHERE name = 'notes' AND id = 2",
      4,
    ],
  ] as const
) {
  Deno.test(`a row ${what} is seen`, () => {
    const path = made();
    change(path, sql);
    using state = open(path);
    assert.equal(state.dropped.length, 1);
    const rows = state.database.prepare("SELECT * FROM notes").all();
    assert.equal(rows.length, left);
    assert.ok(!rows.some(({ note }) => note === "forged"));
    assert.deepEqual(names(state).length, 5);
  });
}

Deno.test("whatever byte of the file is changed: what is read is what was written, or is told to be gone", () => {
  const path = made();
  const whole = Deno.readFileSync(path);
  const written = ["anna", "bo", "cem", "dora", "eli"];
  let told = 0;
  for (let at = 0; at < whole.length; at += 13) {
    if (whole[at] === 0 && at % 5 !== 0) continue; // mostly free room
    const bytes = whole.slice();
    bytes[at]! ^= 0x21;
    Deno.writeFileSync(path, bytes);
    for (const suffix of ["-wal", "-shm", ".damaged"]) {
      try {
        Deno.removeSync(`${path}${suffix}`);
      } catch {
        // not there
      }
    }
    using state = open(path);
    const here = names(state);
    const lost = written.filter((name) => !here.includes(name));
    assert.deepEqual(
      here.filter((name) => !written.includes(String(name))),
      [],
      `byte ${at}`,
    );
    const isTold = state.aside !== null || state.dropped.length > 0;
    if (lost.length > 0) assert.ok(isTold, `byte ${at}: ${lost} are gone`);
    told += Number(isTold);
  }
  assert.ok(told > 10, `${told} changes were told`);
});

for (
  const [how, damage] of [
    ["cut", (path: string) => Deno.truncateSync(path, 5000)],
    [
      "overwritten",
      (path: string) => Deno.writeTextFileSync(path, "x".repeat(9000)),
    ],
  ] as const
) {
  Deno.test(`a database that was ${how} is put aside, and another one is begun`, () => {
    const path = made();
    damage(path);
    using state = open(path);
    assert.notEqual(state.aside, null);
    assert.equal(state.origin, "made");
    assert.ok(Deno.statSync(`${path}.damaged`).size > 0);
    add(state, "anna", null);
    assert.deepEqual(names(state), ["anna"]);
  });
}

Deno.test("a database of a release without checksums gets them; one of a newer release is left alone", () => {
  const path = made();
  change(path, "DROP TABLE row_sums; DROP TABLE generation");
  {
    using state = open(path);
    assert.deepEqual([state.origin, names(state).length], ["adopted", 5]);
  }
  {
    using state = open(path);
    assert.deepEqual([state.origin, state.dropped], ["kept", []]);
  }
  change(
    path,
    `PRAGMA user_version = ${VERSION + 1}; UPDATE generation SET schema = ${
      VERSION + 1
    }`,
  );
  const before = Deno.readFileSync(path);
  // Its checksum is not ours either.
  assert.throws(() => open(path), /a newer release/);
  assert.deepEqual(Deno.readFileSync(path), before);
});

Deno.test("a version in the header that is not the one that was written is put right", () => {
  const path = made();
  change(path, "PRAGMA user_version = 999");
  using state = open(path);
  assert.equal(names(state).length, 5);
});
