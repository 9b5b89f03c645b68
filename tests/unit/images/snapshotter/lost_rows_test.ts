/** The table of snapshots when rows of it are lost, and when its disk is full. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Snapshotter } from "../../../../lib/images/snapshotter/mod.ts";
import { SnapshotStore } from "../../../../lib/images/snapshotter/store.ts";
import { stateDamages } from "../../../../lib/telemetry/mod.ts";

const NO_LAYERS = {
  prepareLayer: () => Promise.resolve(null),
} as unknown as Parameters<typeof Snapshotter.open>[0]["provider"];

const open = (root: string) => Snapshotter.open({ root, provider: NO_LAYERS });

const told = (root: string) =>
  stateDamages().find(({ path }) =>
    path === `${root}/snapshotter/metadata.db`
  ) ?? null;

const foldersOf = (root: string) =>
  [...Deno.readDirSync(`${root}/snapshotter/snapshots`)]
    .map(({ name }) => name).sort();

/** A root with a container on an unpacked layer. */
async function rootWithContainer(): Promise<string> {
  const root = Deno.makeTempDirSync({ prefix: "soci-deno-rows-" });
  await using snapshotter = await open(root);
  await snapshotter.prepare({ key: "default/1/extract", parent: "" });
  await snapshotter.commit({
    name: "default/2/base",
    key: "default/1/extract",
  });
  await snapshotter.prepare({ key: "default/3/run", parent: "default/2/base" });
  return root;
}

/** Changes the database behind its checksums' back. */
function change(root: string, sql: string): void {
  using database = new DatabaseSync(`${root}/snapshotter/metadata.db`);
  database.exec(sql);
}

for (
  const [how, damage] of [
    [
      "lost",
      (root: string) => Deno.removeSync(`${root}/snapshotter/metadata.db`),
    ],
    [
      "changed in a row",
      (root: string) =>
        change(root, "UPDATE snapshots SET updated_ms = 5 WHERE id = 2"),
    ],
    [
      "an older one",
      (root: string) =>
        Deno.copyFileSync(`${root}/older`, `${root}/snapshotter/metadata.db`),
    ],
  ] as const
) {
  Deno.test(`when the table is ${how}, that is told, folders that may be in use stay until the machine restarts, and no number is given again`, async () => {
    const root = Deno.makeTempDirSync({ prefix: "soci-deno-rows-" });
    {
      await using snapshotter = await open(root);
      await snapshotter.prepare({ key: "default/1/a", parent: "" });
    }
    Deno.copyFileSync(`${root}/snapshotter/metadata.db`, `${root}/older`);
    {
      await using snapshotter = await open(root);
      await snapshotter.prepare({ key: "default/2/b", parent: "" });
    }
    assert.deepEqual(foldersOf(root), ["1", "2"]);
    damage(root);
    {
      await using snapshotter = await open(root);
      assert.equal(snapshotter.rows, "lost");
      assert.match(
        told(root)?.then ?? "",
        /`ctr -n NAMESPACE images rm --sync/,
      );
      assert.deepEqual(foldersOf(root), ["1", "2"]);
      await snapshotter.prepare({ key: "default/3/c", parent: "" });
      assert.deepEqual(foldersOf(root), ["1", "2", "3"]);
    }
    {
      await using snapshotter = await open(root);
      assert.equal(snapshotter.rows, "whole");
      assert.deepEqual(foldersOf(root), ["1", "2", "3"]);
    }
    Deno.writeTextFileSync(
      `${root}/snapshotter/snapshots/2/kept`,
      "another run of the machine",
    );
    {
      await using _snapshotter = await open(root);
      assert.ok(!foldersOf(root).includes("2"));
    }
    Deno.removeSync(root, { recursive: true });
  });
}

Deno.test("a damaged row takes with it what is built on it, and nothing else", async () => {
  const root = await rootWithContainer();
  {
    await using snapshotter = await open(root);
    await snapshotter.prepare({ key: "default/4/other", parent: "" });
  }
  change(root, "UPDATE snapshots SET name = 'x' WHERE name = 'default/2/base'");
  await using snapshotter = await open(root);
  assert.deepEqual(snapshotter.list().map(({ name }) => name), [
    "default/4/other",
  ]);
  assert.match(told(root)?.found ?? "", /2 of them snapshots/);
});

Deno.test("nothing is collected as garbage while the table is lost or damaged", async () => {
  const root = await rootWithContainer();
  assert.deepEqual(Snapshotter.lazyDirectoriesBelow(root), []);
  change(root, "UPDATE snapshots SET kind = 'view' WHERE id = 1");
  assert.throws(() => Snapshotter.lazyDirectoriesBelow(root), /malformed/);
  Deno.removeSync(`${root}/snapshotter/metadata.db`);
  assert.throws(() => Snapshotter.lazyDirectoriesBelow(root), /is lost/);
  Deno.removeSync(root, { recursive: true });
});

/** As SQLite sees a full disk: no page can be added. */
function fill({ file: { state: { database } } }: SnapshotStore): void {
  const [pages] = Object.values(database.prepare("PRAGMA page_count").get()!);
  database.exec(`PRAGMA max_page_count = ${pages}`);
}

const LARGE = { large: "x".repeat(20_000) };
const row = (name: string) =>
  ({ name, parent: "", kind: "active", labels: LARGE }) as const;

Deno.test("a snapshot that does not fit on the disk is an error that says so, and nothing of it stays", () => {
  const path = Deno.makeTempFileSync({ prefix: "soci-deno-rows-" });
  using store = new SnapshotStore(path);
  fill(store);
  assert.throws(
    () => store.insert(row("a")),
    (error: Error & { kind?: string }) =>
      error.kind === "unavailable" && /is full: free some/.test(error.message),
  );
  assert.equal(store.find("a"), null);
});

Deno.test("where room is set aside it is given up for a snapshot, which is stored once, and taken back", () => {
  const path = Deno.makeTempFileSync({ prefix: "soci-deno-rows-" });
  const calls: string[] = [];
  let store: SnapshotStore | undefined = undefined;
  const spare = {
    giveUp: () => {
      calls.push("given up");
      store!.file.state.database.exec("PRAGMA max_page_count = 10000");
      return true;
    },
    takeBack: () => void calls.push("taken back"),
  };
  store = new SnapshotStore(path, { spare });
  using opened = store;
  fill(opened);
  const ids: number[] = [];
  const { id } = opened.insert(row("a"), (id) => ids.push(id));
  assert.ok(ids.every((one) => one === id));
  assert.deepEqual(calls, ["given up", "taken back"]);
  assert.deepEqual([...opened.ids()], [id]);
});
