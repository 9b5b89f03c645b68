/**
 * The tables of the snapshotter's database, and the migration from those of older releases.
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { ofNewerRelease } from "../../host/files/mod.ts";
import { SnapshotterSetupError } from "./errors.ts";
import { NAMESPACE_LABEL } from "./types.ts";

/** Raised when the tables change. */
const SCHEMA_VERSION = 2;

/** Checks that this release understands a database. @throws SnapshotterSetupError */
export function assertKnown(database: DatabaseSync, path: string): void {
  const version = Number(
    database.prepare("PRAGMA user_version").get()?.user_version,
  );
  if (version > SCHEMA_VERSION) {
    throw new SnapshotterSetupError(
      path,
      ofNewerRelease(version, SCHEMA_VERSION),
    );
  }
}

/** Makes the tables of a database, and adds what an older release did not have. @returns whether there was anything to do */
export function makeTables(database: DatabaseSync): boolean {
  const { user_version: version } = database
    .prepare("PRAGMA user_version").get() as { user_version: number };
  if (version === SCHEMA_VERSION) return addTimes(database);
  database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        parent_id INTEGER REFERENCES snapshots (id),
        kind TEXT NOT NULL CHECK (kind IN ('active', 'view', 'committed')),
        labels TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        updated_ms INTEGER NOT NULL,
        size_bytes INTEGER,
        inodes INTEGER,
        layer_digest TEXT,
        layer_directory TEXT,
        chain_id TEXT
      ) STRICT;
      CREATE INDEX IF NOT EXISTS snapshots_by_parent ON snapshots (parent_id);
      CREATE INDEX IF NOT EXISTS snapshots_by_layer ON snapshots (layer_digest);
      CREATE INDEX IF NOT EXISTS snapshots_by_chain ON snapshots (chain_id);
      CREATE TABLE images (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        claimant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        host TEXT NOT NULL,
        repository TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        reference TEXT NOT NULL,
        manifest_digest TEXT NOT NULL,
        index_digest TEXT,
        layers TEXT NOT NULL
      ) STRICT;
      ALTER TABLE snapshots ADD COLUMN namespace TEXT;
      ALTER TABLE snapshots ADD COLUMN slot INTEGER;
      ALTER TABLE snapshots ADD COLUMN image_id INTEGER REFERENCES images (id);
      -- 1: the layers below are those that the parent keeps.
      ALTER TABLE snapshots ADD COLUMN inherits INTEGER NOT NULL DEFAULT 0;
      CREATE INDEX snapshots_by_image ON snapshots (image_id);
      CREATE TABLE uses (
        snapshot_id INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
        position INTEGER,
        slot INTEGER NOT NULL,
        claimant TEXT NOT NULL,
        layer_digest TEXT NOT NULL,
        directory TEXT NOT NULL
      ) STRICT;
      CREATE INDEX uses_by_snapshot ON uses (snapshot_id);
      CREATE INDEX uses_by_slot ON uses (slot, claimant);
    `);
  // Each snapshot of an older release keeps its own layer.
  const update = database.prepare(
    "UPDATE snapshots SET slot = ?, namespace = ? WHERE id = ?",
  );
  const use = database.prepare(
    "INSERT INTO uses (snapshot_id, slot, claimant, layer_digest, directory) VALUES (?, ?, '', ?, ?)",
  );
  const old = database.prepare(
    "SELECT id, name, labels, layer_digest, layer_directory FROM snapshots",
  ).all();
  for (const { id, name, labels, layer_digest, layer_directory } of old) {
    const slot = slotNumber(layer_directory);
    const namespace = JSON.parse(String(labels))[NAMESPACE_LABEL] ??
      namespaceInName(String(name));
    update.run(layer_digest === null ? null : slot, namespace, id as number);
    if (layer_digest === null) continue;
    use.run(id as number, slot, layer_digest!, layer_directory!);
  }
  database.exec(`
      PRAGMA user_version = ${SCHEMA_VERSION};
      COMMIT;
    `);
  addTimes(database);
  return true;
}

/**
 * Times have nanoseconds, for clients that compare them with their clock. Releases that do not know these columns
 * pass over them, so the version stays. @returns whether they were missing
 */
function addTimes(database: DatabaseSync): boolean {
  const known = database.prepare("PRAGMA table_info(snapshots)").all();
  if (known.some(({ name }) => name === "updated_ns")) return false;
  database.exec(`
      BEGIN IMMEDIATE;
      ALTER TABLE snapshots ADD COLUMN created_ns INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE snapshots ADD COLUMN updated_ns INTEGER NOT NULL DEFAULT 0;
      COMMIT;
    `);
  return true;
}

/** Older releases stored only the directory, whose name is the slot. */
function slotNumber(directory: unknown): number {
  const [, digits] = /\/([1-9][0-9]{0,9})$/.exec(String(directory)) ?? [];
  return Number(digits ?? 0);
}

/** The namespace in one of containerd's keys, `namespace/number/name`; null in any other. */
export function namespaceInName(name: string): string | null {
  const [, namespace] = /^([^/]+)\/[0-9]+\//.exec(name) ?? [];
  return namespace ?? null;
}
