import { logger } from "../../telemetry/mod.ts";
import { diskUsage } from "./disk.ts";
import { SnapshotError, SnapshotterSetupError } from "./errors.ts";
import { parseFilters } from "./filter.ts";
import { SnapshotFolders } from "./folders.ts";
import { idMapping } from "./idmap.ts";
import { KeyedLock } from "./lock.ts";
import { LazyLayers } from "./layers.ts";
import { mountSpecs, overlayOptionsOfKernel } from "./mounts.ts";
import { openSnapshotStore } from "./open_store.ts";
import type { ChainPart, LayerProvider, ProvidedLayer } from "./provider.ts";
import { type SnapshotRow, SnapshotStore } from "./store.ts";
import {
  type Labels,
  type MountSpec,
  NAMESPACE_LABEL,
  type Owner,
  REMOTE_LABEL,
  type SnapshotInfo,
  type SnapshotUsage,
  TARGET_LABEL,
} from "./types.ts";

const log = logger("snapshotter");

/** What a snapshotter works with. */
export interface SnapshotterOptions {
  /** The daemon's state folder; ours is `snapshotter` in it. */
  readonly root: string;
  /** Serves layers lazily; stays the caller's. */
  readonly provider: LayerProvider;
  /** Options of every overlay mount. Default: what this kernel needs. */
  readonly overlayOptions?: readonly string[] | undefined;
}

/** A snapshot to make. */
export interface PrepareRequest {
  /** Under which the snapshot is known until it is committed or removed. */
  readonly key: string;
  /** Name of a committed snapshot; empty for none. */
  readonly parent: string;
  /** A target among them asks for a lazily served layer. */
  readonly labels?: Labels | undefined;
  /** containerd's namespace the caller works in. */
  readonly namespace?: string | undefined;
  /** Fires when the caller gave up. */
  readonly signal?: AbortSignal | undefined;
}

/** An active snapshot to commit. */
export interface CommitRequest {
  /** Under which it can be a parent; for layers their chain ID. */
  readonly name: string;
  /** Of the active snapshot; gone afterwards. */
  readonly key: string;
  /** In place of those it had. */
  readonly labels?: Labels | undefined;
}

/**
 * Snapshots of container file systems, with containerd's semantics.
 *
 * A layer is imported by `prepare(key, parent)`, mounting, writing, `commit(name, key)`. A container runs on
 * `prepare(key, name of its top layer)` and is gone with `remove(key)`. Keys and names share one space:
 * containerd prefixes its own.
 *
 * ```
 *            prepare ──► active ──commit──► committed ◄── prepare with a target, layer served lazily
 *  committed ──view────► view                  │
 *      any, nothing builds on it ──remove──► gone
 * ```
 *
 * Lazy layers: `prepare` whose labels name a target (`containerd.io/snapshot.ref`) asks the
 * {@linkcode LayerProvider}. When it serves the layer, the target is committed at once and `prepare` fails with
 * `already-exists`, which tells containerd that there is nothing to download.
 *
 * Failures are {@linkcode SnapshotError}s.
 */
export class Snapshotter implements AsyncDisposable {
  readonly #store: SnapshotStore;
  readonly #folders: SnapshotFolders;
  readonly #layers: LazyLayers;
  readonly #provider: LayerProvider;
  readonly #overlayOptions: readonly string[];
  readonly #targets = new KeyedLock();
  /** Folders whose rows were lost: containers may be running on them, so they stay until the next start. */
  readonly #kept: readonly number[];

  private constructor(options: SnapshotterOptions) {
    const root = `${options.root}/snapshotter`;
    if (/[:,\\]/.test(root)) {
      throw new SnapshotterSetupError(
        options.root,
        "the state folder's path must not hold ':', ',' or '\\': overlayfs options separate by them",
      );
    }
    this.#folders = new SnapshotFolders(`${root}/snapshots`);
    this.#store = openSnapshotStore(options.root, root);
    this.#kept = this.#store.isNew ? this.#folders.ids() : [];
    this.#layers = new LazyLayers(options.provider, this.#store);
    this.#provider = options.provider;
    this.#overlayOptions = options.overlayOptions ?? overlayOptionsOfKernel();
  }

  /**
   * Looks whether this release understands the state below `root`, without changing it.
   * @throws SnapshotterSetupError
   */
  static assertUnderstood(root: string): void {
    SnapshotStore.assertUnderstood(`${root}/snapshotter/metadata.db`);
  }

  /** `lazyDirectories` of a root that no process serves; none where there are no snapshots. */
  static lazyDirectoriesBelow(root: string): string[] {
    return SnapshotStore.lazyDirectoriesIn(`${root}/snapshotter/metadata.db`);
  }

  /** Opens the state, restores lazy layers of the last run and clears what a crash left over. */
  static async open(options: SnapshotterOptions): Promise<Snapshotter> {
    const snapshotter = new Snapshotter(options);
    await snapshotter.#layers.restoreAll();
    await snapshotter.cleanup();
    return snapshotter;
  }

  /** Makes a writable snapshot. */
  async prepare(request: PrepareRequest): Promise<MountSpec[]> {
    const target = request.labels?.[TARGET_LABEL];
    if (target !== undefined && target !== "") {
      await this.#targets.run(target, () => this.#prepareLazy(request, target));
    }
    return await this.#create("active", request);
  }

  /** Makes a read-only snapshot. */
  view(request: PrepareRequest): Promise<MountSpec[]> {
    return this.#create("view", request);
  }

  /** How to mount an active snapshot or a view. */
  async mounts(key: string): Promise<MountSpec[]> {
    const row = this.#store.get(key);
    if (row.kind === "committed") {
      throw new SnapshotError(
        "failed-precondition",
        key,
        `snapshot ${key} is committed and cannot be mounted; make a view of it`,
      );
    }
    return this.#mountsOf(row, await this.#filesOf(this.#store.parents(key)));
  }

  /** Freezes an active snapshot under a name; its key is gone, its labels are replaced. */
  async commit({ name, key, labels }: CommitRequest): Promise<void> {
    required(name, "name");
    const row = this.#store.get(key);
    const usage = row.kind === "active"
      ? await diskUsage(this.#folders.fs(row.id))
      : { sizeBytes: 0, inodes: 0 }; // the store refuses it
    this.#store.commit(name, key, labels ?? {}, usage);
  }

  /** Removes a snapshot nothing builds on. Its disk is given back soon after; `cleanup` waits for that. */
  remove(key: string): void {
    const row = this.#store.remove(key);
    this.#folders.retire(row.id);
    this.#layers.removed(row);
  }

  /** What is known about a snapshot. */
  stat(key: string): SnapshotInfo {
    return this.#store.get(key);
  }

  /**
   * Changes labels, the only thing of a snapshot that can change.
   *
   * @param paths `labels` replaces all of them, `labels.<key>` sets one (an empty value removes it); none means
   * `labels`.
   */
  update(key: string, labels: Labels, paths: readonly string[]): SnapshotInfo {
    const changes = paths.length === 0 ? ["labels"] : paths;
    const wrong = changes.find((path) =>
      path !== "labels" && !path.startsWith("labels.")
    );
    if (wrong !== undefined) {
      throw new SnapshotError(
        "invalid-argument",
        key,
        `cannot update field ${wrong} of snapshot ${key}`,
      );
    }
    return this.#store.updateLabels(
      key,
      (before) =>
        changes.reduce<Labels>((result, path) => {
          if (path === "labels") return labels;
          const label = path.slice("labels.".length);
          return { ...result, [label]: labels[label] ?? "" };
        }, before),
    );
  }

  /** Snapshots that pass any of the filters (containerd's filter language), oldest first. */
  list(filters: readonly string[] = []): SnapshotInfo[] {
    return this.#store.all().filter(parseFilters(filters));
  }

  /** Where the lazily served layers of all snapshots are, or were before they could not be restored. */
  lazyDirectories(): string[] {
    return this.#store.lazy().flatMap(({ layer }) =>
      layer === null ? [] : [layer.directory]
    );
  }

  /** Disk the snapshot alone takes. For a lazy one, what of its layer is here. */
  async usage(key: string): Promise<SnapshotUsage> {
    const row = this.#store.get(key);
    if (row.layer !== null) {
      return await this.#provider.usage(row.layer.layerDigest);
    }
    return row.usage ?? await diskUsage(this.#folders.fs(row.id));
  }

  /** Deletes what removed snapshots left on disk, and waits until layers nobody uses are released. */
  async cleanup(): Promise<void> {
    await this.#folders.sweep(new Set([...this.#store.ids(), ...this.#kept]));
    await this.#layers.settled();
  }

  /** Waits for clean-up under way and closes the state. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folders.settled();
    await this.#layers.settled();
    this.#store[Symbol.dispose]();
  }

  /** Returns when containerd must unpack the layer; throws `already-exists` when it need not. */
  async #prepareLazy(request: PrepareRequest, target: string): Promise<void> {
    const { key, parent } = request;
    this.#checkNew(request);
    if (this.#committedAs(target, parent)) throw targetExists(target);
    const labels = {
      ...request.labels,
      ...(request.namespace && { [NAMESPACE_LABEL]: request.namespace }),
    };
    const signal = request.signal ?? new AbortController().signal;
    const committed = await this.#layers.provide(
      { chainId: target, key, labels, signal },
      (layer) => this.#commitLazy({ target, parent, labels }, layer),
    );
    if (committed !== null) throw targetExists(target);
  }

  /** @returns null when what the chain needs beside its layers cannot be made. */
  async #commitLazy(
    { target, parent, labels }: {
      readonly target: string;
      readonly parent: string;
      readonly labels: Labels;
    },
    layer: ProvidedLayer,
  ): Promise<SnapshotRow | null> {
    let staged: string | null;
    try {
      staged = await this.#stageOwnDirectories(parent, layer.layerDigest);
    } catch (error) {
      log.warn("directories of a chain cannot be made, containerd unpacks", {
        chainId: target,
        layer: layer.layerDigest,
        error: String(error),
      });
      return null;
    }
    try {
      const row = this.#store.insert({
        // Taken when the same chain was committed on another parent (unpacked in another
        // namespace): containerd finds ours by label and parent, not by name.
        name: this.#store.find(target) === null
          ? target
          : `${target} ${crypto.randomUUID()}`,
        parent,
        kind: "committed",
        labels: { ...labels, [REMOTE_LABEL]: "remote snapshot" },
        layer: {
          directory: layer.directory,
          layerDigest: layer.layerDigest,
          chainId: target,
        },
      }, (id) => staged !== null && this.#folders.adopt(staged, id));
      this.#layers.opened(row, layer);
      return row;
    } catch (error) {
      if (staged !== null) this.#folders.unstage(staged);
      throw error;
    }
  }

  /** A folder with what the chain of a layer on `parent` shows above its layers; null when nothing. */
  async #stageOwnDirectories(
    parent: string,
    layerDigest: string,
  ): Promise<string | null> {
    const rows = this.#chain(parent);
    const below = rows.flatMap((row, at): ChainPart[] => {
      if (row.layer === null) return [{ folder: this.#folders.fs(row.id) }];
      const served = { layerDigest: row.layer.layerDigest };
      return at > 0 && this.#showsOwn(rows, at)
        ? [{ folder: this.#folders.fs(row.id) }, served]
        : [served];
    });
    const [nearest] = rows;
    const record = nearest === undefined || nearest.layer === null
      ? null
      : this.#folders.record(nearest.id);
    const own = await this.#provider.ownDirectories({
      layerDigest,
      below,
      record,
    });
    return own === null ? null : await this.#folders.stageOwn(own);
  }

  /** A committed snapshot and what it is built on, nearest first; nothing for an empty name. */
  #chain(name: string): SnapshotRow[] {
    return name === "" ? [] : [
      this.#store.committedParent(name),
      ...this.#store.parents(name),
    ];
  }

  /**
   * Whether a lazy snapshot's own directories are shown: they are those of all served layers down to
   * the next one that containerd unpacked, so only the uppermost of them counts.
   */
  #showsOwn(rows: readonly SnapshotRow[], at: number): boolean {
    const row = rows[at];
    return row !== undefined && (at === 0 || rows[at - 1]?.layer === null) &&
      this.#folders.has(row.id);
  }

  #committedAs(target: string, parent: string): boolean {
    const named = this.#store.find(target);
    return (named?.kind === "committed" && named.parent === parent) ||
      this.#store.hasLazy(target, parent);
  }

  async #create(
    kind: "active" | "view",
    request: PrepareRequest,
  ): Promise<MountSpec[]> {
    const { key, parent, labels } = request;
    this.#checkNew(request);
    // Before anything is stored: a layer that cannot be served now must not leave a snapshot behind.
    const rows = this.#chain(parent);
    const parents = await this.#filesOf(rows);
    // A container's root directory belongs to whom it belonged to in the image.
    const owner = idMapping(key, labels ?? {})?.root ??
      (rows[0] === undefined ? null : await this.#ownerOf(rows[0]));
    const staged = this.#folders.stage(kind, owner);
    let row: SnapshotRow;
    try {
      row = this.#store.insert(
        { name: key, parent, kind, labels: labels ?? {} },
        (id) => this.#folders.adopt(staged, id),
      );
    } catch (error) {
      this.#folders.unstage(staged);
      throw error;
    }
    try {
      return this.#mountsOf(row, parents);
    } catch (error) {
      this.remove(key); // what cannot be mounted must not stay behind
      throw error;
    }
  }

  /** The cheap checks, before anything slow; the store makes them again when it inserts. */
  #checkNew({ key, parent }: PrepareRequest): void {
    required(key, "key");
    if (parent !== "") this.#store.committedParent(parent);
    if (this.#store.find(key) !== null) {
      throw new SnapshotError(
        "already-exists",
        key,
        `snapshot ${key} already exists`,
      );
    }
  }

  #mountsOf(row: SnapshotRow, parents: readonly string[]): MountSpec[] {
    return mountSpecs({
      key: row.name,
      kind: row.kind,
      fs: this.#folders.fs(row.id),
      work: this.#folders.work(row.id),
      parents,
      served: parents.length > 0 && !this.#folders.holds(parents[0]!),
      idMapOptions: idMapping(row.name, row.labels)?.options ?? [],
    }, this.#overlayOptions);
  }

  /** Directories with the files of these snapshots, which are a chain, nearest first. */
  async #filesOf(rows: readonly SnapshotRow[]): Promise<string[]> {
    const found = await Promise.all(rows.map(async (row, at) => {
      const own = this.#folders.fs(row.id);
      if (row.layer === null) return [own];
      const { directory } = await this.#layers.shown(row);
      return this.#showsOwn(rows, at) ? [own, directory] : [directory];
    }));
    return found.flat();
  }

  async #ownerOf(row: SnapshotRow): Promise<Owner> {
    if (row.layer !== null) return (await this.#layers.shown(row)).owner;
    const { uid, gid } = await Deno.lstat(this.#folders.fs(row.id));
    return { uid: uid ?? 0, gid: gid ?? 0 };
  }
}

function required(value: string, what: "key" | "name"): void {
  if (value === "") {
    throw new SnapshotError(
      "invalid-argument",
      value,
      `a snapshot needs a ${what}`,
    );
  }
}

function targetExists(target: string): SnapshotError {
  return new SnapshotError(
    "already-exists",
    target,
    `target snapshot ${target} already exists`,
  );
}
