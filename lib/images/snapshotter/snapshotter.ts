import { diskUsage } from "./disk.ts";
import { SnapshotError, SnapshotterSetupError } from "./errors.ts";
import { parseFilters } from "./filter.ts";
import { SnapshotFolders } from "./folders.ts";
import { idMapping } from "./idmap.ts";
import { KeyedLock } from "./lock.ts";
import { LazyLayers } from "./layers.ts";
import { Lowers } from "./lowers.ts";
import { mountSpecs, overlayOptionsOfKernel } from "./mounts.ts";
import type { LayerProvider } from "./provider.ts";
import { type SnapshotRow, SnapshotStore } from "./store.ts";
import {
  type Labels,
  type MountSpec,
  NAMESPACE_LABEL,
  REMOTE_LABEL,
  type SnapshotInfo,
  type SnapshotUsage,
  TARGET_LABEL,
} from "./types.ts";

/** What a snapshotter works with. */
export interface SnapshotterOptions {
  /** The daemon's state folder; ours is `snapshotter` in it. */
  readonly root: string;
  /** Serves layers lazily; stays the caller's. */
  readonly provider: LayerProvider;
  /** Options of every overlay mount. Default: what this kernel needs. */
  readonly overlayOptions?: readonly string[] | undefined;
  /** How long a layer may take to be completed that must be proven before it is shown, ms. Default 120 000. */
  readonly completeWaitMs?: number;
}

const DEFAULT_COMPLETE_WAIT_MS = 120_000;

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
  readonly #lowers: Lowers;
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
    this.#provider = options.provider;
    this.#lowers = new Lowers({
      store: this.#store,
      layers: this.#layers,
      folders: this.#folders,
      provider: options.provider,
      completeWaitMs: options.completeWaitMs ?? DEFAULT_COMPLETE_WAIT_MS,
    });
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
    const lowers = await this.#lowers.of(this.#store.parents(key), row);
    return this.#mountsOf(row, lowers.map(({ directory }) => directory));
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
    const uses = this.#store.uses(key);
    const row = this.#store.remove(key);
    this.#folders.retire(row.id);
    this.#layers.removed(uses);
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

  /**
   * Snapshots that pass any of the filters (containerd's filter language): those of a namespace first, then those
   * of none, then those of others; each oldest first. containerd takes the first it finds.
   */
  list(
    filters: readonly string[] = [],
    namespace?: string | undefined,
  ): SnapshotInfo[] {
    const found = this.#store.all().filter(parseFilters(filters));
    if (namespace === undefined) return found;
    const rank = (row: SnapshotRow) =>
      row.namespace === namespace ? 0 : row.namespace === null ? 1 : 2;
    return found.toSorted((a, b) => rank(a) - rank(b));
  }

  /** Where the lazily served layers of all snapshots are, or were before they could not be restored. */
  lazyDirectories(): string[] {
    return this.#store.allUses().map(({ directory }) => directory);
  }

  /** Disk the snapshot alone takes. For a lazy one, what of its layer is here. */
  async usage(key: string): Promise<SnapshotUsage> {
    const row = this.#store.get(key);
    if (row.layer !== null) {
      return await this.#provider.usage(row.layer.slot);
    }
    return row.usage ?? await diskUsage(this.#folders.fs(row.id));
  }

  /** Deletes what removed snapshots left on disk, and waits until layers nobody uses are released. */
  async cleanup(): Promise<void> {
    await this.#folders.sweep(this.#store.ids());
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
    if (await this.#answers(request, target)) throw targetExists(target);
    const { namespace } = request;
    const labels = {
      ...request.labels,
      ...(request.namespace && { [NAMESPACE_LABEL]: request.namespace }),
    };
    const signal = request.signal ?? new AbortController().signal;
    const committed = await this.#layers.provide(
      { chainId: target, key, labels, namespace, signal },
      (layer) => {
        const row = this.#store.insert({
          // Taken when the same chain was committed on another parent (unpacked in another
          // namespace): containerd finds ours by label and parent, not by name.
          name: this.#store.find(target) === null
            ? target
            : `${target} ${crypto.randomUUID()}`,
          parent,
          kind: "committed",
          labels: { ...labels, [REMOTE_LABEL]: "remote snapshot" },
          namespace,
          layer: { ...layer, chainId: target },
        });
        this.#layers.opened(layer);
        return row;
      },
    );
    if (committed !== null || this.#isUnpacked(request, target)) {
      throw targetExists(target);
    }
  }

  /** Whether the caller's own namespace has the target unpacked, by that very name. */
  #isUnpacked({ parent, namespace }: PrepareRequest, target: string): boolean {
    const named = this.#store.find(target);
    return named?.kind === "committed" && named.layer === null &&
      named.parent === parent && named.namespace === (namespace ?? null);
  }

  /**
   * Whether there is the snapshot already that a Prepare is for: of the image that it names, for the same
   * claimant. What was served to another image answers nobody.
   */
  async #answers(
    { parent, labels = {}, namespace }: PrepareRequest,
    target: string,
  ): Promise<boolean> {
    const image = await this.#provider.imageKey({ labels, namespace })
      .catch(() => null); // told when the layer is asked for
    return image === null
      ? this.#isUnpacked({ key: "", parent, namespace }, target)
      : this.#store.hasLazy(target, parent, image);
  }

  async #create(
    kind: "active" | "view",
    request: PrepareRequest,
  ): Promise<MountSpec[]> {
    const { key, parent, labels, namespace } = request;
    this.#checkNew(request);
    // Before anything is stored: a layer that cannot be served now must not leave a snapshot behind.
    const rows = parent === "" ? [] : [
      this.#store.committedParent(parent),
      ...this.#store.parents(parent),
    ];
    const parents = await this.#lowers.of(rows, request);
    // A container's root directory belongs to whom it belonged to in the image.
    const owner = idMapping(key, labels ?? {})?.root ??
      parents[0]?.owner ?? null;
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
      return this.#mountsOf(row, parents.map(({ directory }) => directory));
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
