import type { SpareRoom } from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { diskUsage } from "./disk.ts";
import {
  required,
  SnapshotError,
  SnapshotterSetupError,
  targetExists,
} from "./errors.ts";
import { SnapshotFolders } from "./folders.ts";
import { idMapping } from "./idmap.ts";
import { KeyedLock } from "./lock.ts";
import { Answers } from "./answers.ts";
import { chainOfLayer } from "./chain.ts";
import { chainBelow } from "./chain_of.ts";
import { Contests } from "./contests.ts";
import { LazyLayers } from "./layers.ts";
import { tellOutcome } from "./outcome.ts";
import { Listing } from "./listing.ts";
import { MappedLowers } from "./mapped_lowers.ts";
import { Lowers } from "./lowers.ts";
import { mountSpecs, overlayOptionsOfKernel } from "./mounts.ts";
import { openSnapshotStore } from "./open_store.ts";
import type { ImageCatalog, LayerProvider, ProvidedLayer } from "./provider.ts";
import {
  type CommitRequest,
  labelChange,
  type NamedRequest,
  type PrepareRequest,
  targetOf,
  withNamespace,
} from "./requests.ts";
import type { SnapshotRow } from "./rows.ts";
import { SnapshotStore } from "./store.ts";
import type { ServedImage } from "./uses.ts";
import {
  type Labels,
  type MountSpec,
  NAMESPACE_LABEL,
  REMOTE_LABEL,
  type SnapshotInfo,
  type SnapshotUsage,
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
  /** How long layers may take to be completed that must be proven before they are shown, ms. Default 120 000. */
  readonly completeWaitMs?: number;
  /** Says which images containerd has. Default: nobody says. */
  readonly catalog?: ImageCatalog;
  /** Room on the disk for what must be written when it is full. */
  readonly spare?: SpareRoom | undefined;
}

const DEFAULT_COMPLETE_WAIT_MS = 120_000;

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
  /** `lost`: layers that no snapshot uses may be in use by containers all the same. */
  readonly rows: "whole" | "lost";
  readonly #folders: SnapshotFolders;
  readonly #layers: LazyLayers;
  readonly #mapped: MappedLowers;
  readonly #lowers: Lowers;
  readonly #provider: LayerProvider;
  readonly #overlayOptions: readonly string[];
  readonly #targets = new KeyedLock();
  readonly #answers = new Answers();
  readonly #listing: Listing;

  private constructor(options: SnapshotterOptions) {
    const root = `${options.root}/snapshotter`;
    if (/[:,\\]/.test(root)) {
      throw new SnapshotterSetupError(
        options.root,
        "the state folder's path must not hold ':', ',' or '\\': overlayfs options separate by them",
      );
    }
    this.#folders = new SnapshotFolders(`${root}/snapshots`);
    const opened = openSnapshotStore(root, this.#folders, options.spare);
    this.#store = opened.store;
    this.rows = opened.rows;
    this.#listing = new Listing(this.#store, this.#answers);
    this.#layers = new LazyLayers(options.provider, this.#store);
    this.#mapped = new MappedLowers({
      root: options.root,
      mountHelper: options.mountHelper ?? null,
      isFolder: (path) => this.#folders.holds(path),
    });
    this.#provider = options.provider;
    this.#lowers = new Lowers({
      store: this.#store,
      layers: this.#layers,
      folders: this.#folders,
      provider: options.provider,
      completeWaitMs: options.completeWaitMs ?? DEFAULT_COMPLETE_WAIT_MS,
      contests: new Contests(this.#store, options.catalog ?? null),
    });
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
    return SnapshotStore.lazyDirectoriesIn(`${root}/snapshotter`);
  }

  /** Every snapshot of a root that no process serves, oldest first. @throws SnapshotterSetupError */
  static snapshotsBelow(
    root: string,
  ): (SnapshotInfo & { readonly namespace: string | null })[] {
    return SnapshotStore.rowsIn(`${root}/snapshotter`);
  }

  /** Opens the state, restores the lazy layers of the last run, and removes what a crash left behind. */
  static async open(options: SnapshotterOptions): Promise<Snapshotter> {
    const snapshotter = new Snapshotter(options);
    await snapshotter.#layers.restoreAll();
    await snapshotter.cleanup();
    return snapshotter;
  }

  /** Makes a writable snapshot. */
  async prepare(asked: PrepareRequest): Promise<MountSpec[]> {
    const request = withNamespace(asked);
    const target = targetOf(request);
    if (target !== null) {
      await this.#targets.run(target, () => this.#prepareLazy(request, target));
    }
    return await this.#create("active", request);
  }

  /** Makes a read-only snapshot. */
  view(request: PrepareRequest): Promise<MountSpec[]> {
    return this.#create("view", withNamespace(request));
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
    const rows = this.#store.chain(row.parent);
    const lowers = await this.#lowers.of(rows, row, "known");
    return await this.#mountsOf(row, lowers.directories);
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
    const uses = this.#store.ownUses(key);
    const row = this.#store.remove(key);
    this.#folders.retire(row.id);
    this.#mapped.released(row.id);
    this.#layers.removed(uses);
  }

  /** What is known about a snapshot. */
  stat(key: string): SnapshotInfo {
    return this.#store.get(key);
  }

  /** Changes labels, the only thing of a snapshot that can change. See `labelChange` for `paths`. */
  update(key: string, labels: Labels, paths: readonly string[]): SnapshotInfo {
    return this.#store.updateLabels(key, labelChange(key, labels, paths));
  }

  /** Resolves when every change so far would survive a power loss: no call is answered before. @throws FileError */
  onDisk(): Promise<void> {
    return this.#store.file.onDisk();
  }

  /** See `Listing.list`. */
  list(
    filters: readonly string[] = [],
    namespace?: string | undefined,
  ): SnapshotInfo[] {
    return this.#listing.list(filters, namespace);
  }

  /** See `Listing.parts`. */
  listInParts(
    filters: readonly string[],
    namespace: string | undefined,
  ): Iterable<readonly SnapshotInfo[]> {
    return this.#listing.parts(filters, namespace);
  }

  /** Directories of the lazily served layers of all snapshots; the last known one where a layer could not be restored. */
  lazyDirectories(): string[] {
    return this.#store.allUses().map(({ directory }) => directory);
  }

  /** Every image that has lazily served snapshots, by name. */
  servedImages(): ServedImage[] {
    return this.#store.servedImages();
  }

  /** Disk space that the snapshot alone takes. For a lazy one, the bytes of its layer that are on this disk. */
  async usage(key: string): Promise<SnapshotUsage> {
    const row = this.#store.get(key);
    if (row.layer !== null) {
      return await this.#provider.usage(row.layer.slot);
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
    this.#answers[Symbol.dispose]();
    await this.#folders.settled();
    await this.#layers.settled();
    this.#store[Symbol.dispose]();
  }

  /** Returns when containerd must unpack the layer. @throws SnapshotError `already-exists` when it need not */
  async #prepareLazy(request: NamedRequest, target: string): Promise<void> {
    const { key, parent, namespace } = request;
    this.#checkNew(request);
    const known = await this.#answerTo(request, target);
    if (known !== null) return await this.#exists(known, target, request);
    const labels = {
      ...request.labels,
      ...(request.namespace && { [NAMESPACE_LABEL]: request.namespace }),
    };
    const signal = request.signal ?? new AbortController().signal;
    const parentChain = chainBelow(this.#store.chain(parent));
    const committed = await this.#layers.provide(
      { chainId: target, parentChain, key, labels, namespace, signal },
      (layer) => this.#commitLazy({ target, parent, labels, namespace }, layer),
    );
    tellOutcome(request, committed !== null);
    const answer = committed ?? this.#unpacked(request, target);
    if (answer !== null) await this.#exists(answer, target, request);
  }

  /** Tells containerd that a snapshot is there. @throws SnapshotError `already-exists`, always */
  async #exists(
    row: SnapshotRow,
    target: string,
    { saysNamespace }: NamedRequest,
  ): Promise<never> {
    if (!saysNamespace) await this.#answers.give(target, row);
    throw targetExists(target);
  }

  /** The target as the caller's own namespace has unpacked it, under that very name; null when it has not. */
  #unpacked(
    { parent, namespace }: Pick<PrepareRequest, "parent" | "namespace">,
    target: string,
  ): SnapshotRow | null {
    const named = this.#store.find(target);
    return named?.kind === "committed" && named.layer === null &&
        named.parent === parent && named.namespace === (namespace ?? null)
      ? named
      : null;
  }

  /**
   * The snapshot that answers a Prepare: one of the image that it names, for the same claimant. What was served to
   * another image answers nobody.
   */
  async #answerTo(
    request: PrepareRequest,
    target: string,
  ): Promise<SnapshotRow | null> {
    const { parent, labels = {}, namespace } = request;
    const image = await this.#provider.imageKey({ labels, namespace })
      .catch(() => null); // the error comes again when the layer is asked for
    return image === null
      ? this.#unpacked(request, target)
      : this.#store.findLazy(target, parent, image);
  }

  /** @returns null when the chain's own directories cannot be made. */
  async #commitLazy(
    { target, parent, labels, namespace }: {
      readonly target: string;
      readonly parent: string;
      readonly labels: Labels;
      readonly namespace: string | undefined;
    },
    layer: ProvidedLayer,
  ): Promise<SnapshotRow | null> {
    let staged: string | null;
    try {
      const chain = chainOfLayer(layer, this.#store.chain(parent), {
        store: this.#store,
        folders: this.#folders,
      });
      const own = await this.#provider.ownDirectories(chain);
      staged = own === null ? null : await this.#folders.stageOwn(own);
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
        namespace,
        layer: { ...layer, chainId: target },
      }, (id) => staged !== null && this.#folders.adopt(staged, id));
      this.#layers.opened(layer);
      return row;
    } catch (error) {
      if (staged !== null) this.#folders.unstage(staged);
      throw error;
    }
  }

  async #create(
    kind: "active" | "view",
    request: PrepareRequest,
  ): Promise<MountSpec[]> {
    const { key, parent, labels, namespace } = request;
    this.#checkNew(request);
    // Before anything is stored: if a layer cannot be served now, no snapshot may stay behind.
    const lowers = await this.#lowers.of(
      this.#store.chain(parent),
      { ...request, name: key },
      "new",
    );
    // A container's root directory has the owner that it has in the image.
    const owner = idMapping(key, labels ?? {})?.root ??
      lowers.owner;
    const staged = this.#folders.stage(kind, owner);
    let row: SnapshotRow;
    try {
      row = this.#store.insert(
        { name: key, parent, kind, labels: labels ?? {}, namespace },
        (id) => this.#folders.adopt(staged, id),
      );
    } catch (error) {
      this.#folders.unstage(staged);
      throw error;
    }
    try {
      return await this.#mountsOf(row, lowers.directories);
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
}
