import { logger } from "../../telemetry/mod.ts";
import { diskUsage } from "./disk.ts";
import {
  required,
  SnapshotError,
  SnapshotterSetupError,
  targetExists,
} from "./errors.ts";
import { parseFilters } from "./filter.ts";
import { SnapshotFolders } from "./folders.ts";
import { idMapping } from "./idmap.ts";
import { KeyedLock } from "./lock.ts";
import { LazyLayers } from "./layers.ts";
import { MappedLowers } from "./mapped_lowers.ts";
import { mountSpecs, overlayOptionsOfKernel } from "./mounts.ts";
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

/** How a snapshotter is opened. */
export interface SnapshotterOptions {
  /** The daemon's state folder; the snapshotter uses `snapshotter` in it. */
  readonly root: string;
  /** Serves layers lazily; stays the caller's. */
  readonly provider: LayerProvider;
  /** Extra options of every overlay mount. Default: what this kernel needs. */
  readonly overlayOptions?: readonly string[] | undefined;
  /** Starts the process that makes id-mapped mounts, see `MountHelper`; they are refused without it. */
  readonly mountHelper?: readonly string[] | undefined;
}

/** A snapshot to make. */
export interface PrepareRequest {
  /** The snapshot's name until it is committed or removed. */
  readonly key: string;
  /** Name of a committed snapshot; empty for none. */
  readonly parent: string;
  /** A target label asks for a lazily served layer. */
  readonly labels?: Labels | undefined;
  /** The caller's containerd namespace. */
  readonly namespace?: string | undefined;
  /** Fires when the caller gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** An active snapshot to commit. */
export interface CommitRequest {
  /** Its name as a parent; for a layer, its chain ID. */
  readonly name: string;
  /** Key of the active snapshot; it is gone afterwards. */
  readonly key: string;
  /** Replace the snapshot's labels. */
  readonly labels?: Labels | undefined;
}

/**
 * Snapshots of container file systems, with containerd's semantics.
 *
 * To import a layer, containerd calls `prepare(key, parent)`, mounts, writes, and calls `commit(name, key)`.
 * A container runs on `prepare(key, name of its top layer)` and ends with `remove(key)`. Keys and names share
 * one space; containerd prefixes its own.
 *
 * ```
 *            prepare ──► active ──commit──► committed ◄── prepare with a target, layer served lazily
 *  committed ──view────► view                  │
 *      any, nothing builds on it ──remove──► gone
 * ```
 *
 * Lazy layers: when the labels of `prepare` name a target (`containerd.io/snapshot.ref`), the snapshotter asks
 * the {@linkcode LayerProvider}. If the provider serves the layer, the target is committed at once and `prepare`
 * fails with `already-exists`. So containerd downloads nothing.
 *
 * Failures are {@linkcode SnapshotError}s.
 */
export class Snapshotter implements AsyncDisposable {
  readonly #store: SnapshotStore;
  readonly #folders: SnapshotFolders;
  readonly #layers: LazyLayers;
  readonly #mapped: MappedLowers;
  readonly #provider: LayerProvider;
  readonly #overlayOptions: readonly string[];
  readonly #targets = new KeyedLock();

  private constructor(options: SnapshotterOptions) {
    const root = `${options.root}/snapshotter`;
    if (/[:,\\]/.test(root)) {
      throw new SnapshotterSetupError(
        options.root,
        "the state folder's path must not hold ':', ',' or '\\': overlayfs options separate by them",
      );
    }
    this.#folders = new SnapshotFolders(`${root}/snapshots`);
    this.#store = new SnapshotStore(`${root}/metadata.db`);
    this.#layers = new LazyLayers(options.provider, this.#store);
    this.#mapped = new MappedLowers({
      root: options.root,
      mountHelper: options.mountHelper ?? null,
      isFolder: (path) => this.#folders.holds(path),
    });
    this.#provider = options.provider;
    this.#overlayOptions = options.overlayOptions ?? overlayOptionsOfKernel();
  }

  /**
   * Checks that this release understands the state below `root`. Changes nothing.
   * @throws SnapshotterSetupError
   */
  static assertUnderstood(root: string): void {
    SnapshotStore.assertUnderstood(`${root}/snapshotter/metadata.db`);
  }

  /** `lazyDirectories` of a root that no process serves; empty where there are no snapshots. */
  static lazyDirectoriesBelow(root: string): string[] {
    return SnapshotStore.lazyDirectoriesIn(`${root}/snapshotter/metadata.db`);
  }

  /** Opens the state, restores the lazy layers of the last run, and removes what a crash left behind. */
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

  /** The mounts of an active snapshot or a view. */
  async mounts(key: string): Promise<MountSpec[]> {
    const row = this.#store.get(key);
    if (row.kind === "committed") {
      throw new SnapshotError(
        "failed-precondition",
        key,
        `snapshot ${key} is committed and cannot be mounted; make a view of it`,
      );
    }
    return await this.#mountsOf(
      row,
      await this.#filesOf(this.#store.parents(key)),
    );
  }

  /** Makes an active snapshot a committed one of another name. Its key is gone, its labels are replaced. */
  async commit({ name, key, labels }: CommitRequest): Promise<void> {
    required(name, "name");
    const row = this.#store.get(key);
    const usage = row.kind === "active"
      ? await diskUsage(this.#folders.fs(row.id))
      : { sizeBytes: 0, inodes: 0 }; // the store refuses it
    this.#store.commit(name, key, labels ?? {}, usage);
    this.#mapped.released(row.id); // nobody mounts it any more
  }

  /** Removes a snapshot that is nobody's parent. Its disk space is freed soon after; `cleanup` waits for that. */
  remove(key: string): void {
    const row = this.#store.remove(key);
    this.#folders.retire(row.id);
    this.#mapped.released(row.id);
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

  /** Directories of the lazily served layers of all snapshots; the last known one where a layer could not be restored. */
  lazyDirectories(): string[] {
    return this.#store.lazy().flatMap(({ layer }) =>
      layer === null ? [] : [layer.directory]
    );
  }

  /** Disk space that the snapshot alone takes. For a lazy one, the bytes of its layer that are on this disk. */
  async usage(key: string): Promise<SnapshotUsage> {
    const row = this.#store.get(key);
    if (row.layer !== null) {
      return await this.#provider.usage(row.layer.layerDigest);
    }
    return row.usage ?? await diskUsage(this.#folders.fs(row.id));
  }

  /** Deletes the folders of removed snapshots, and waits until unused layers are released. */
  async cleanup(): Promise<void> {
    await this.#mapped.sweep(this.#store.ids());
    await this.#folders.sweep(this.#store.ids());
    await this.#layers.settled();
  }

  /** Unmounts what was made for user namespaces, when the layers will be served no more. */
  async unmount(): Promise<void> {
    await this.#mapped.unmountAll();
  }

  /** Waits for running clean-up and closes the database. Mounts stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mapped[Symbol.asyncDispose]();
    await this.#folders.settled();
    await this.#layers.settled();
    this.#store[Symbol.dispose]();
  }

  /** Returns when containerd must unpack the layer. @throws SnapshotError `already-exists` when it need not */
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

  /** @returns null when the chain's own directories cannot be made. */
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
        // The name is taken when the same chain was committed on another parent (unpacked in
        // another namespace). containerd finds our row by label and parent, not by name.
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

  /** A folder with the own directories of the chain of a layer on `parent`; null when it has none. */
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

  /** A committed snapshot and its ancestors, nearest first; nothing for an empty name. */
  #chain(name: string): SnapshotRow[] {
    return name === "" ? [] : [
      this.#store.committedParent(name),
      ...this.#store.parents(name),
    ];
  }

  /**
   * Whether a lazy snapshot's own directories are shown. They cover all served layers down to the next one
   * that containerd unpacked, so only those of the uppermost snapshot are shown.
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
    // Before anything is stored: if a layer cannot be served now, no snapshot may stay behind.
    const rows = this.#chain(parent);
    const parents = await this.#filesOf(rows);
    // A container's root directory has the owner that it has in the image.
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
      return await this.#mountsOf(row, parents);
    } catch (error) {
      this.remove(key); // it cannot be mounted, so it must not stay
      throw error;
    }
  }

  /** Cheap checks before anything slow; the store repeats them when it inserts. */
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

  async #mountsOf(
    row: SnapshotRow,
    directories: readonly string[],
  ): Promise<MountSpec[]> {
    const parents = await this.#mapped.of(row, directories);
    return mountSpecs({
      key: row.name,
      kind: row.kind,
      fs: this.#folders.fs(row.id),
      work: this.#folders.work(row.id),
      parents,
      served: parents.length > 0 && !this.#folders.holds(parents[0]!),
    }, this.#overlayOptions);
  }

  /** The lower directories of a chain of snapshots, nearest first. */
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
