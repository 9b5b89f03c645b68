import { DatabaseSync, type StatementSync } from "node:sqlite";
import { statIfThere } from "../../host/files/mod.ts";
import { SnapshotError, SnapshotterSetupError } from "./errors.ts";
import type {
  Labels,
  SnapshotInfo,
  SnapshotKind,
  SnapshotUsage,
} from "./types.ts";

/** Raised when the tables change. */
const SCHEMA_VERSION = 1;

/** A lazily served layer behind a committed snapshot. */
export interface LayerColumns {
  readonly layerDigest: string;
  readonly directory: string;
  /** The target of its Prepare; usually also its name. */
  readonly chainId: string;
}

/** A snapshot as it is stored. */
export interface SnapshotRow extends SnapshotInfo {
  /** Name of the snapshot's folder; never reused. */
  readonly id: number;
  /** Set for committed snapshots. */
  readonly usage: SnapshotUsage | null;
  /** Set for lazily served ones. */
  readonly layer: LayerColumns | null;
}

/** A snapshot to insert. */
export interface NewSnapshot {
  readonly name: string;
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly labels: Labels;
  readonly layer?: LayerColumns;
}

const SELECT = `
  SELECT s.id, s.name, coalesce(p.name, '') AS parent, s.kind, s.labels, s.created_ms, s.updated_ms,
         s.size_bytes, s.inodes, s.layer_digest, s.layer_directory, s.chain_id
  FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent_id`;

/**
 * The snapshots, in SQLite. Each method is one transaction and enforces all rules about names, parents and
 * kinds. No method waits for anything but the disk.
 */
export class SnapshotStore implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** @param path the database file; made when missing. @throws SnapshotterSetupError */
  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    try {
      assertKnown(this.#database, path);
    } catch (error) {
      this.#database.close();
      throw error;
    }
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA foreign_keys = ON;
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
      PRAGMA user_version = ${SCHEMA_VERSION};
    `);
  }

  /**
   * Checks that this release understands the database. Another process may be using it.
   * @throws SnapshotterSetupError
   */
  static assertUnderstood(path: string): void {
    if (statIfThere(path) === null) return;
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      assertKnown(database, path);
    } finally {
      database.close();
    }
  }

  /**
   * Directories of the lazy layers in a database; empty when there is no database.
   * @throws SnapshotterSetupError
   */
  static lazyDirectoriesIn(path: string): string[] {
    SnapshotStore.assertUnderstood(path);
    if (statIfThere(path) === null) return [];
    using store = new SnapshotStore(path);
    return store.lazy().flatMap(({ layer }) =>
      layer === null ? [] : [layer.directory]
    );
  }

  /**
   * Adds a snapshot.
   *
   * @param beforeCommit makes what must exist together with the snapshot. When it throws, nothing is added.
   * @throws SnapshotError `already-exists`, or `not-found`/`invalid-argument` for the parent.
   */
  insert(
    snapshot: NewSnapshot,
    beforeCommit: (id: number) => void = () => {},
  ): SnapshotRow {
    return this.#transaction(() => {
      const { name, kind, labels, layer } = snapshot;
      if (this.find(name) !== null) throw alreadyExists(name);
      const parentId = snapshot.parent === ""
        ? null
        : this.committedParent(snapshot.parent).id;
      const now = Date.now();
      const { lastInsertRowid } = this.#prepare(`
        INSERT INTO snapshots (name, parent_id, kind, labels, created_ms, updated_ms,
                               size_bytes, inodes, layer_digest, layer_directory, chain_id)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
        name,
        parentId,
        kind,
        labelsText(labels),
        now,
        now,
        layer ? 0 : null,
        layer ? 0 : null,
        layer?.layerDigest ?? null,
        layer?.directory ?? null,
        layer?.chainId ?? null,
      );
      beforeCommit(Number(lastInsertRowid));
      return this.get(name);
    });
  }

  /**
   * Makes an active snapshot a committed one with another name. Its labels are replaced.
   *
   * @throws SnapshotError `not-found`, `already-exists`, or `failed-precondition` for anything not active.
   */
  commit(
    name: string,
    key: string,
    labels: Labels,
    usage: SnapshotUsage,
  ): SnapshotRow {
    return this.#transaction(() => {
      const active = this.get(key);
      if (this.find(name) !== null) throw alreadyExists(name);
      if (active.kind !== "active") {
        throw new SnapshotError(
          "failed-precondition",
          key,
          `snapshot ${key} is not active, it is ${active.kind}`,
        );
      }
      const now = Date.now();
      this.#prepare(`
        UPDATE snapshots SET name = ?, kind = 'committed', labels = ?, created_ms = ?,
                             updated_ms = ?, size_bytes = ?, inodes = ?
        WHERE id = ?`).run(
        name,
        labelsText(labels),
        now,
        now,
        usage.sizeBytes,
        usage.inodes,
        active.id,
      );
      return this.get(name);
    });
  }

  /**
   * Removes a snapshot.
   * @throws SnapshotError `not-found`, or `failed-precondition` while it is another's parent.
   */
  remove(key: string): SnapshotRow {
    return this.#transaction(() => {
      const row = this.get(key);
      const child = this.#prepare(
        "SELECT name FROM snapshots WHERE parent_id = ? LIMIT 1",
      ).get(row.id);
      if (child !== undefined) {
        throw new SnapshotError(
          "failed-precondition",
          key,
          `cannot remove snapshot ${key}: ${child.name} builds on it`,
        );
      }
      this.#prepare("DELETE FROM snapshots WHERE id = ?").run(row.id);
      return row;
    });
  }

  /** Replaces the labels by what `change` returns for them. */
  updateLabels(key: string, change: (labels: Labels) => Labels): SnapshotRow {
    return this.#transaction(() => {
      const row = this.get(key);
      this.#prepare(
        "UPDATE snapshots SET labels = ?, updated_ms = ? WHERE id = ?",
      ).run(labelsText(change(row.labels)), Date.now(), row.id);
      return this.get(key);
    });
  }

  /** Stores where a lazily served layer is shown now. */
  moveLayer(id: number, directory: string): void {
    this.#prepare("UPDATE snapshots SET layer_directory = ? WHERE id = ?")
      .run(directory, id);
  }

  /** @throws SnapshotError `not-found`. */
  get(key: string): SnapshotRow {
    const row = this.find(key);
    if (row === null) {
      throw new SnapshotError(
        "not-found",
        key,
        `snapshot ${key} does not exist`,
      );
    }
    return row;
  }

  /** Null when there is no such snapshot. */
  find(key: string): SnapshotRow | null {
    const row = this.#prepare(`${SELECT} WHERE s.name = ?`).get(key);
    return row === undefined ? null : snapshotRow(row);
  }

  /** A committed snapshot, which may be a parent. @throws SnapshotError `not-found`, `invalid-argument` */
  committedParent(name: string): SnapshotRow {
    const row = this.find(name);
    if (row === null) {
      throw new SnapshotError(
        "not-found",
        name,
        `parent snapshot ${name} does not exist`,
      );
    }
    if (row.kind !== "committed") {
      throw new SnapshotError(
        "invalid-argument",
        name,
        `parent snapshot ${name} is not committed, it is ${row.kind}`,
      );
    }
    return row;
  }

  /** The snapshot's ancestors, nearest first. */
  parents(key: string): SnapshotRow[] {
    return this.#prepare(`
      WITH RECURSIVE chain (id, depth) AS (
        SELECT parent_id, 1 FROM snapshots WHERE name = ?
        UNION ALL
        SELECT s.parent_id, depth + 1 FROM snapshots s JOIN chain USING (id)
      )
      ${SELECT} JOIN chain ON chain.id = s.id ORDER BY chain.depth`)
      .all(key).map(snapshotRow);
  }

  /** Every snapshot, oldest first. */
  all(): SnapshotRow[] {
    return this.#prepare(`${SELECT} ORDER BY s.id`).all().map(snapshotRow);
  }

  /** Committed snapshots with a lazily served layer, oldest first. */
  lazy(): SnapshotRow[] {
    return this.#prepare(
      `${SELECT} WHERE s.layer_digest IS NOT NULL ORDER BY s.id`,
    ).all().map(snapshotRow);
  }

  /** Whether a lazy snapshot of that chain was committed on that parent (empty: on none). */
  hasLazy(chainId: string, parent: string): boolean {
    return this.#prepare(`${SELECT} WHERE s.chain_id = ?`).all(chainId)
      .some((row) => row.parent === parent);
  }

  /** Numbers of all snapshots. */
  ids(): Set<number> {
    return new Set(
      this.#prepare("SELECT id FROM snapshots").all().map(({ id }) =>
        Number(id)
      ),
    );
  }

  /** Whether any snapshot uses the layer. */
  usesLayer(layerDigest: string): boolean {
    return this.#prepare(
      "SELECT 1 FROM snapshots WHERE layer_digest = ? LIMIT 1",
    )
      .get(layerDigest) !== undefined;
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #transaction<T>(work: () => T): T {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

function assertKnown(database: DatabaseSync, path: string): void {
  const version = Number(
    database.prepare("PRAGMA user_version").get()?.user_version,
  );
  if (version > SCHEMA_VERSION) {
    throw new SnapshotterSetupError(
      path,
      `written by a newer release (schema ${version}, this one knows ${SCHEMA_VERSION})`,
    );
  }
}

function alreadyExists(name: string): SnapshotError {
  return new SnapshotError(
    "already-exists",
    name,
    `snapshot ${name} already exists`,
  );
}

/** As in containerd, a label with an empty value is no label. */
function labelsText(labels: Labels): string {
  return JSON.stringify(
    Object.fromEntries(
      Object.entries(labels).filter(([, value]) => value !== ""),
    ),
  );
}

function snapshotRow(row: Record<string, unknown>): SnapshotRow {
  return {
    id: Number(row.id),
    name: String(row.name),
    parent: String(row.parent),
    kind: row.kind as SnapshotKind,
    labels: JSON.parse(String(row.labels)),
    createdAt: new Date(Number(row.created_ms)),
    updatedAt: new Date(Number(row.updated_ms)),
    usage: row.size_bytes === null ? null : {
      sizeBytes: Number(row.size_bytes),
      inodes: Number(row.inodes),
    },
    layer: row.layer_digest === null ? null : {
      layerDigest: String(row.layer_digest),
      directory: String(row.layer_directory),
      chainId: String(row.chain_id),
    },
  };
}
