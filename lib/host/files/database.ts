/**
 * SQLite databases of state, on disks as they are: full, or read-only.
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { logger } from "../../telemetry/mod.ts";
import { isReadOnlyDisk } from "./errors.ts";
import { makeScratchFolder } from "./scratch.ts";
import { removeFolder, removeIfThere, statIfThere } from "./there.ts";

const log = logger("files");
/**
 * Pages of 4 KiB that the log may have before they go into the file. On a full disk it takes its room, too: the logs of
 * both databases are to leave half of what is set aside there.
 */
const MAX_LOG_PAGES = 256;

/** An open database, and whether what is written reaches its file. */
export interface OpenDatabase {
  /** Open; the caller closes it. */
  readonly database: DatabaseSync;
  /** `in memory`: its disk is read-only, what is written is known to this process alone. */
  readonly kept: "on disk" | "in memory";
}

/**
 * Opens a database that this process owns; made when missing. Opening writes nothing of its own into one that is there.
 * One on a read-only disk, which SQLite cannot open with its log beside it, is copied into memory with it.
 * @throws SQLite's errors
 */
export function openDatabase(path: string): OpenDatabase {
  if (statIfThere(path) === null || !isOnReadOnlyDisk(path)) {
    const database = new DatabaseSync(path);
    try {
      database.exec(
        `PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = ${MAX_LOG_PAGES}`,
      );
      // What an index says can be told again from its table.
      if (structureOf(database) !== "ok") database.exec("REINDEX");
      assertWhole(database);
    } catch (error) {
      database.close();
      throw error;
    }
    return { database, kept: "on disk" };
  }
  log.warn(
    "the disk is read-only: what is served is served, and nothing of this run is remembered by the next one",
    { path },
  );
  return { database: openCopy(path), kept: "in memory" };
}

/**
 * Opens a database to look at it; another process may own it. That it can be read is seen here.
 * @throws SQLite's errors, also when the file is damaged
 */
export function readDatabase(path: string): DatabaseSync {
  if (isOnReadOnlyDisk(path)) return openCopy(path);
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    assertWhole(database);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function isOnReadOnlyDisk(path: string): boolean {
  try {
    Deno.openSync(path, { write: true }).close();
    return false;
  } catch (error) {
    if (isReadOnlyDisk(error)) return true;
    throw error;
  }
}

function openCopy(path: string): DatabaseSync {
  const folder = makeScratchFolder();
  try {
    for (const suffix of ["", "-wal"]) {
      if (statIfThere(`${path}${suffix}`) === null) continue;
      Deno.copyFileSync(`${path}${suffix}`, `${folder}/copy${suffix}`);
    }
    const database = new DatabaseSync(`${folder}/copy`);
    try {
      // The log goes into the file, and no further one is made: the copy needs its name no more.
      database.exec(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY",
      );
      assertWhole(database);
      return database;
    } catch (error) {
      database.close();
      throw error;
    }
  } finally {
    removeFolder(folder);
  }
}

/** @throws Error when the file's structure is damaged. */
function assertWhole(database: DatabaseSync): void {
  const found = structureOf(database);
  if (found !== "ok") {
    throw new Error(`database disk image is malformed: ${found}`);
  }
}

/** What SQLite finds wrong; `ok` when nothing is. @throws SQLite's errors */
function structureOf(database: DatabaseSync): string {
  const [found] = Object.values(
    database.prepare("PRAGMA integrity_check(1)").get() ?? {},
  );
  return String(found);
}

/** Whether an error of SQLite says that the file is no database, not a whole one, or lacks what was made in it. */
export function isDamagedDatabase(error: unknown): boolean {
  return error instanceof Error &&
    /malformed|not a database|unsupported file format|no such (table|column)|has no column/
      .test(error.message);
}

/** Whether an error of SQLite says that the disk is full. */
export function isFullDatabase(error: unknown): boolean {
  return error instanceof Error &&
    /database or disk is full/.test(error.message);
}

/** Puts a database that cannot be read aside, with its log, as `<path>.damaged`. @throws Deno's errors, FileError */
export function putDatabaseAside(path: string): void {
  for (const suffix of ["", "-wal"]) {
    if (statIfThere(`${path}${suffix}`) === null) continue;
    Deno.renameSync(`${path}${suffix}`, `${path}.damaged${suffix}`);
  }
  removeIfThere(`${path}-shm`);
}

/** Runs work as one transaction. @throws what `work` throws, SQLite's errors */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    // SQLite takes a transaction back by itself when the disk is full: what happened is that, not the second try.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** Room on a disk that is set aside for what must be written when it is full. */
export interface SpareRoom {
  /** Frees it. @returns false when there is none. */
  giveUp(): boolean;
  /** Takes what is left of it. */
  takeBack(): void;
}

/** Writes; once more where the disk is full and room was set aside for it. @throws what `write` throws */
export function withRoom<T>(write: () => T, spare: SpareRoom | null): T {
  try {
    return write();
  } catch (error) {
    if (!isFullDatabase(error) || !spare?.giveUp()) throw error;
    try {
      return write();
    } finally {
      spare.takeBack();
    }
  }
}
