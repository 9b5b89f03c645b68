import {
  CoalescedTask,
  FileError,
  isFullDatabase,
  putOnDisk,
  type SpareRoom,
  StateDatabase,
  writeMark,
} from "../../host/files/mod.ts";
import { bootId } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { SnapshotError } from "./errors.ts";
import { assertNotOfOtherDaemon } from "./other_daemon.ts";
import { assertKnown, makeTables } from "./schema.ts";

const log = logger("snapshotter");

/** Names the image of a lazily served snapshot. */
const IMAGE_LABEL = "containerd.io/snapshot/cri.image-ref";

/** Beside the database: how far it was. */
export const MARK_FILE = "metadata-mark";

/** How the database is opened. */
export interface SnapshotDatabaseOptions {
  /** Where it is written down how far the database is, after each transaction. */
  readonly markPath?: string;
  /** For writes that find the disk full. */
  readonly spare?: SpareRoom;
  /** `refuse`: an error, and nothing is changed. Default: what cannot be trusted is taken out. */
  readonly whenDamaged?: "repair" | "refuse";
}

/** A snapshot whose row was taken out, as it was found: a value of it may be wrong. */
export interface DroppedSnapshot {
  readonly name: string;
  /** Its image; null where that is not known. */
  readonly image: string | null;
}

/** The file of the snapshots' table, and how far it is. Nothing is written when it is there and whole. */
export class SnapshotDatabase implements Disposable {
  /** What was found when it was opened. */
  readonly state: StateDatabase;
  readonly #markPath: string | null;
  readonly #syncing: CoalescedTask;
  /** Transactions until now, and those of them that would survive a power loss. */
  #done = 0;
  #onDisk = 0;
  /** How SQLite syncs; null: as it was opened. */
  #level: "FULL" | "NORMAL" | null = null;

  /** Opens it; made when missing. @throws SnapshotterSetupError; SQLite's errors */
  constructor(path: string, options: SnapshotDatabaseOptions = {}) {
    const { markPath = null, ...others } = options;
    assertNotOfOtherDaemon(path);
    this.#markPath = markPath;
    this.state = StateDatabase.open(path, {
      ...others,
      assertKnown: (database) => assertKnown(database, path),
      makeTables,
    });
    this.state.database.exec("PRAGMA foreign_keys = ON");
    // SQLite appends each transaction to this file before it reaches the database file.
    this.#syncing = new CoalescedTask(() => putOnDisk(`${path}-wal`));
  }

  /** Snapshots whose rows were taken out. */
  get dropped(): DroppedSnapshot[] {
    return this.state.dropped.flatMap(({ table, values }) =>
      table !== "snapshots" || values === null ? [] : [{
        name: String(values.name),
        image: imageIn(String(values.labels)),
      }]
    );
  }

  /** Gives no snapshot a number up to this one from now on. */
  startAbove(id: number): void {
    if (this.#highest >= id) return;
    const { database } = this.state;
    this.state.write(() => {
      database.exec("DELETE FROM sqlite_sequence WHERE name = 'snapshots'");
      database.prepare(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('snapshots', ?)",
      ).run(id);
    });
  }

  get #highest(): number {
    const row = this.state.statements.of(
      "SELECT seq FROM sqlite_sequence WHERE name = 'snapshots'",
    ).get();
    return Number(row?.seq ?? 0);
  }

  /** Writes down how far it is: so that one that is older is seen for what it is. */
  mark(): void {
    if (this.#markPath === null || this.state.kept === "in memory") return;
    try {
      writeMark(this.#markPath, {
        generation: this.state.generation,
        bootId: bootId(),
        highest: this.#highest,
        changes: this.state.changes,
      });
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      log.warn("how far the snapshots' table is cannot be written down", {
        error: error.message,
      });
    }
  }

  /**
   * Runs work as one transaction.
   * @param key names the snapshot in errors.
   * @param durable `now`: it would survive a power loss when this returns, for which this thread waits for the
   * disk; `by onDisk`: what relies on that waits for `onDisk`.
   * @throws SnapshotError `unavailable` when the disk is full; what `work` throws
   */
  transaction<T>(
    key: string,
    work: () => T,
    durable: "now" | "by onDisk" = "now",
  ): T {
    try {
      const level = durable === "now" ? "FULL" : "NORMAL";
      if (this.#level !== level) {
        this.state.database.exec(`PRAGMA synchronous = ${level}`);
      }
      this.#level = level;
      const result = this.state.transaction(work);
      this.#done++;
      if (durable === "now") this.#onDisk = this.#done;
      this.mark();
      return result;
    } catch (error) {
      if (!isFullDatabase(error)) throw error;
      throw new SnapshotError(
        "unavailable",
        key,
        "the disk of the snapshotter's state is full: free some of it, then try again",
        { cause: error },
      );
    }
  }

  /** Resolves when every transaction so far would survive a power loss. @throws FileError */
  async onDisk(): Promise<void> {
    const done = this.#done;
    if (this.#onDisk >= done || this.state.kept === "in memory") return;
    await this.#syncing.run();
    this.#onDisk = Math.max(this.#onDisk, done);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.state[Symbol.dispose]();
  }
}

function imageIn(labels: string): string | null {
  try {
    const image = JSON.parse(labels)?.[IMAGE_LABEL];
    return typeof image === "string" ? image : null;
  } catch {
    return null; // it may be what was damaged
  }
}
