/**
 * The tables of the slots' database, and the migration from those of older releases.
 * @module
 */
import type { DatabaseSync } from "node:sqlite";
import { ofNewerRelease } from "../../host/files/mod.ts";
import { StateVersionError } from "./errors.ts";

/** Raised when the tables change. */
const SCHEMA_VERSION = 3;

/** Checks that this release understands a database. @throws StateVersionError */
export function assertKnown(database: DatabaseSync, path: string): void {
  const version = versionOf(database);
  if (version <= SCHEMA_VERSION) return;
  throw new StateVersionError(path, ofNewerRelease(version, SCHEMA_VERSION));
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.user_version);
}

/**
 * Makes the tables, or turns those of an older release into them. Slots and the highest slot stay.
 * @returns whether there was anything to do
 */
export function makeTables(database: DatabaseSync): boolean {
  const version = versionOf(database);
  if (version === SCHEMA_VERSION) return false;
  if (version < 2) makeClaims(database);
  database.exec(`
    BEGIN IMMEDIATE;
    ALTER TABLE slots RENAME TO old_slots;
    CREATE TABLE slots (
      slot INTEGER PRIMARY KEY AUTOINCREMENT,
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL,
      diff_id TEXT NOT NULL,
      domain TEXT NOT NULL,
      pack_digest TEXT NOT NULL,
      UNIQUE (layer_digest, ztoc_digest, diff_id, domain, pack_digest)
    ) STRICT;
    INSERT INTO slots SELECT slot, layer_digest, ztoc_digest, diff_id, domain, '' FROM old_slots;
    DELETE FROM sqlite_sequence WHERE name = 'slots';
    INSERT INTO sqlite_sequence (name, seq)
      SELECT 'slots', seq FROM sqlite_sequence WHERE name = 'old_slots';
    DROP TABLE old_slots;
    CREATE TABLE condemned_packs (
      pack_digest TEXT NOT NULL,
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL,
      reason TEXT NOT NULL,
      PRIMARY KEY (pack_digest, layer_digest, ztoc_digest)
    ) STRICT;
    PRAGMA user_version = ${SCHEMA_VERSION};
    COMMIT;
  `);
  return true;
}

/** From the first release's tables, or none, to those of the second, which know whose a layer is. */
function makeClaims(database: DatabaseSync): void {
  database.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS slots (
      slot INTEGER PRIMARY KEY AUTOINCREMENT,
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS condemned (
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL,
      reason TEXT NOT NULL
    ) STRICT;
    ALTER TABLE slots RENAME TO old_slots;
    CREATE TABLE slots (
      slot INTEGER PRIMARY KEY AUTOINCREMENT,
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL,
      diff_id TEXT NOT NULL,
      domain TEXT NOT NULL,
      UNIQUE (layer_digest, ztoc_digest, diff_id, domain)
    ) STRICT;
    INSERT INTO slots SELECT slot, layer_digest, ztoc_digest, '', '' FROM old_slots;
    DELETE FROM sqlite_sequence WHERE name = 'slots';
    INSERT INTO sqlite_sequence (name, seq)
      SELECT 'slots', seq FROM sqlite_sequence WHERE name = 'old_slots';
    DROP TABLE old_slots;
    ALTER TABLE condemned RENAME TO old_condemned;
    CREATE TABLE condemned (
      layer_digest TEXT NOT NULL,
      ztoc_digest TEXT NOT NULL,
      diff_id TEXT NOT NULL,
      reason TEXT NOT NULL,
      PRIMARY KEY (layer_digest, ztoc_digest, diff_id)
    ) STRICT;
    INSERT INTO condemned SELECT layer_digest, ztoc_digest, '', reason FROM old_condemned;
    DROP TABLE old_condemned;
    CREATE TABLE claims (
      slot INTEGER NOT NULL,
      claimant TEXT NOT NULL,
      proven INTEGER NOT NULL,
      PRIMARY KEY (slot, claimant)
    ) STRICT;
    PRAGMA user_version = 2;
    COMMIT;
  `);
}
