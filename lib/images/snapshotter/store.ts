import type { StatementSync } from "node:sqlite";
import { readDatabase, Statements, statIfThere } from "../../host/files/mod.ts";
import { momentNow } from "../../host/os/mod.ts";
import { type Ancestor, SnapshotChains } from "./chains.ts";
import { SnapshotError, SnapshotterSetupError } from "./errors.ts";
import { assertNotOfOtherDaemon } from "./other_daemon.ts";
import {
  labelsText,
  type NewSnapshot,
  SELECT_ROW,
  type SnapshotRow,
  snapshotRow,
} from "./rows.ts";
import { assertKnown } from "./schema.ts";
import {
  MARK_FILE,
  SnapshotDatabase,
  type SnapshotDatabaseOptions,
} from "./snapshot_database.ts";
import { TargetIndex } from "./targets.ts";
import { type Labels, type SnapshotUsage, TARGET_LABEL } from "./types.ts";
import {
  type LayerUse,
  type ServedImage,
  type StoredImage,
  StoredUses,
} from "./uses.ts";

/**
 * The snapshots, in SQLite. Each method is one transaction and enforces all rules about names, parents and
 * kinds. No method waits for anything but the disk.
 */
export class SnapshotStore implements Disposable {
  /** Its file. */
  readonly file: SnapshotDatabase;
  readonly #statements: Statements;
  readonly #uses = new StoredUses((sql) => this.#prepare(sql));
  readonly #chains = new SnapshotChains({
    prepare: (sql) => this.#prepare(sql),
    labelsOf: (name) => this.get(name).labels,
  });
  /** Made when it is first needed. */
  #targets: TargetIndex | null = null;

  /** @param path the database file; made when missing. @throws SnapshotterSetupError; SQLite's errors */
  constructor(path: string, options: SnapshotDatabaseOptions = {}) {
    this.file = new SnapshotDatabase(path, options);
    this.#statements = this.file.state.statements;
  }

  /**
   * Checks that this release understands the database. Another process may be using it.
   * @throws SnapshotterSetupError
   */
  static assertUnderstood(path: string): void {
    if (statIfThere(path) === null) return;
    assertNotOfOtherDaemon(path);
    const database = readDatabase(path);
    try {
      assertKnown(database, path);
    } finally {
      database.close();
    }
  }

  /**
   * Directories of the lazy layers in a folder's database; empty when there never was one.
   * @throws SnapshotterSetupError; also when it is lost
   */
  static lazyDirectoriesIn(folder: string): string[] {
    const path = `${folder}/metadata.db`;
    SnapshotStore.assertUnderstood(path);
    if (statIfThere(path) === null) {
      if (statIfThere(`${folder}/${MARK_FILE}`) === null) return [];
      throw new SnapshotterSetupError(
        path,
        "is lost: nobody knows which layers containers use; start the daemon, which says what to do",
      );
    }
    using store = new SnapshotStore(path, { whenDamaged: "refuse" });
    return store.allUses().map(({ directory }) => directory);
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
    const inserted = this.file.transaction(snapshot.name, () => {
      const { name, kind, labels, layer } = snapshot;
      if (this.find(name) !== null) throw alreadyExists(name);
      const parentId = snapshot.parent === ""
        ? null
        : this.committedParent(snapshot.parent).id;
      const now = momentNow();
      const { lastInsertRowid } = this.#prepare(`
        INSERT INTO snapshots (name, parent_id, kind, labels, created_ms, created_ns,
                               updated_ms, updated_ns, size_bytes, inodes, layer_digest, layer_directory, chain_id,
                               namespace, slot, image_id)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`).run(
        name,
        parentId,
        kind,
        labelsText(labels),
        ...[now.ms, now.ns, now.ms, now.ns],
        layer ? 0 : null,
        layer ? 0 : null,
        layer?.layerDigest ?? null,
        layer?.directory ?? null,
        layer?.chainId ?? null,
        snapshot.namespace ?? null,
        layer?.slot ?? null,
        layer === undefined ? null : this.#uses.imageId(layer.image),
      );
      if (layer !== undefined) {
        this.#uses.add(
          Number(lastInsertRowid),
          parentId,
          [...layer.below, layer],
          layer.image,
        );
      }
      beforeCommit(Number(lastInsertRowid));
      return this.get(name);
    }, "by onDisk");
    if (snapshot.layer !== undefined) this.#uses.stored();
    return this.#indexed(inserted);
  }

  /** The index of targets changes with a row, once its transaction is over. */
  #indexed(row: SnapshotRow): SnapshotRow {
    this.#targets?.set(row.id, row.labels[TARGET_LABEL]);
    return row;
  }

  /** All layers that a snapshot keeps, bottom first; its own is the last. Empty when there is no such snapshot. */
  uses(key: string): readonly LayerUse[] {
    const row = this.find(key);
    return row === null ? [] : this.#uses.of(row.id);
  }

  /** Those of them that its parent does not keep as well. */
  ownUses(key: string): readonly LayerUse[] {
    const row = this.find(key);
    return row === null ? [] : this.#uses.ownOf(row.id);
  }

  /** Every layer that a snapshot keeps, once for each claimant, with the labels of one such snapshot. */
  allUses(): (LayerUse & { readonly labels: Labels })[] {
    return this.#uses.all();
  }

  /** The image of a lazily served snapshot; null in the database of a release that did not keep it. */
  imageOf(id: number): StoredImage | null {
    return this.#uses.imageOf(id);
  }

  /** Every image that has lazily served snapshots, by name. */
  servedImages(): ServedImage[] {
    return this.#uses.served();
  }

  /** All lazily served images of one manifest in one repository. */
  imagesOf(
    named: Pick<StoredImage, "host" | "repository" | "manifestDigest">,
  ): StoredImage[] {
    return this.#uses.imagesOf(named);
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
    const committed = this.file.transaction(key, () => {
      const active = this.get(key);
      if (this.find(name) !== null) throw alreadyExists(name);
      if (active.kind !== "active") {
        throw new SnapshotError(
          "failed-precondition",
          key,
          `snapshot ${key} is not active, it is ${active.kind}`,
        );
      }
      const now = momentNow();
      this.#prepare(`
        UPDATE snapshots SET name = ?, kind = 'committed', labels = ?, created_ms = ?, created_ns = ?,
                             updated_ms = ?, updated_ns = ?, size_bytes = ?, inodes = ?
        WHERE id = ?`).run(
        name,
        labelsText(labels),
        ...[now.ms, now.ns, now.ms, now.ns],
        usage.sizeBytes,
        usage.inodes,
        active.id,
      );
      return this.get(name);
    }, "by onDisk");
    return this.#indexed(committed);
  }

  /**
   * Removes a snapshot.
   * @throws SnapshotError `not-found`, or `failed-precondition` while it is another's parent.
   */
  remove(key: string): SnapshotRow {
    const removed = this.file.transaction(key, () => {
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
      const image = this.#uses.imageIdOf(row.id);
      this.#prepare("DELETE FROM snapshots WHERE id = ?").run(row.id);
      if (image !== null) this.#uses.forgetImage(image);
      return row;
    });
    this.#chains.forget(key);
    this.#targets?.set(removed.id, undefined);
    return removed;
  }

  /** Replaces the labels by what `change` returns for them. */
  updateLabels(key: string, change: (labels: Labels) => Labels): SnapshotRow {
    const updated = this.file.transaction(key, () => {
      const row = this.get(key);
      const now = momentNow();
      this.#prepare(
        "UPDATE snapshots SET labels = ?, updated_ms = ?, updated_ns = ? WHERE id = ?",
      ).run(labelsText(change(row.labels)), now.ms, now.ns, row.id);
      return this.get(key);
    }, "by onDisk");
    return this.#indexed(updated);
  }

  /** Stores where a layer is shown now, for all snapshots that keep it for that claimant. */
  moveLayer(
    from: Pick<LayerUse, "slot" | "claimant" | "layerDigest">,
    to: Pick<LayerUse, "slot" | "directory">,
  ): void {
    this.file.transaction(
      from.layerDigest,
      () => this.#uses.move(from, to),
    );
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
    const row = this.#prepare(`${SELECT_ROW} WHERE s.name = ?`).get(key);
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

  /**
   * A committed snapshot and its ancestors, nearest first; nothing for an empty name.
   * @throws SnapshotError as `committedParent`
   */
  chain(name: string): readonly Ancestor[] {
    return name === ""
      ? []
      : this.#chains.of(name, this.committedParent(name).parent);
  }

  /** Those that have one of these targets, oldest first. */
  withTargets(targets: readonly string[]): SnapshotRow[] {
    const index = this.#targets ??= this.#indexTargets();
    const ids = new Set(targets.flatMap((target) => index.of(target)));
    return this.withIds([...ids].sort((a, b) => a - b));
  }

  #indexTargets(): TargetIndex {
    const index = new TargetIndex();
    const path = `$."${TARGET_LABEL}"`;
    for (
      const { id, target } of this.#prepare(
        "SELECT id, labels ->> ? AS target FROM snapshots",
      ).iterate(path)
    ) {
      if (target !== null) index.set(Number(id), String(target));
    }
    return index;
  }

  /**
   * Numbers of all snapshots, oldest first.
   * @param first the namespace whose snapshots come first; then those without one, then those of others.
   */
  idsInOrder(first: string | undefined): number[] {
    const rank = first === undefined
      ? "?"
      : "CASE WHEN namespace = ? THEN 0 WHEN namespace IS NULL THEN 1 ELSE 2 END";
    return this.#prepare(`SELECT id FROM snapshots ORDER BY ${rank}, id`)
      .all(first ?? null).map(({ id }) => Number(id));
  }

  /** Those of these snapshots that are still there. */
  withIds(ids: readonly number[]): SnapshotRow[] {
    const select = this.#prepare(`${SELECT_ROW} WHERE s.id = ?`);
    return ids.flatMap((id) => select.all(id)).map(snapshotRow);
  }

  /** Every snapshot, oldest first. */
  all(): SnapshotRow[] {
    return this.#prepare(`${SELECT_ROW} ORDER BY s.id`).all().map(snapshotRow);
  }

  /** Committed snapshots with a lazily served layer, oldest first. */
  lazy(): SnapshotRow[] {
    return this.#prepare(
      `${SELECT_ROW} WHERE s.layer_digest IS NOT NULL ORDER BY s.id`,
    ).all().map(snapshotRow);
  }

  /** The lazy snapshot that an image has of a chain on that parent (empty: on none); null when it has none. */
  findLazy(
    chainId: string,
    parent: string,
    imageKey: string,
  ): SnapshotRow | null {
    const row = this.#prepare(`${SELECT_ROW} JOIN images i ON i.id = s.image_id
      WHERE s.chain_id = ? AND i.key = ?`).all(chainId, imageKey)
      .find((row) => row.parent === parent);
    return row === undefined ? null : snapshotRow(row);
  }

  /** Numbers of all snapshots. */
  ids(): Set<number> {
    return new Set(
      this.#prepare("SELECT id FROM snapshots").all().map(({ id }) =>
        Number(id)
      ),
    );
  }

  /** Whether a snapshot keeps the layer for that claimant. */
  usesLayer(use: Pick<LayerUse, "slot" | "claimant">): boolean {
    return this.#uses.has(use);
  }

  /**
   * Every snapshot in a folder's database that no process serves, oldest first; none where there is no database.
   * @throws SnapshotterSetupError
   */
  static rowsIn(folder: string): SnapshotRow[] {
    const path = `${folder}/metadata.db`;
    if (statIfThere(path) === null) return [];
    SnapshotStore.assertUnderstood(path);
    using store = new SnapshotStore(path, { whenDamaged: "refuse" });
    return store.all();
  }

  /** Closes the database. */
  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }

  #prepare(sql: string): StatementSync {
    return this.#statements.of(sql);
  }
}

function alreadyExists(name: string): SnapshotError {
  return new SnapshotError(
    "already-exists",
    name,
    `snapshot ${name} already exists`,
  );
}
