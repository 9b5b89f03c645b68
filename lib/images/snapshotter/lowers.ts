import { chainIdOf, CRI_LABELS } from "../../remote/image/mod.ts";
import { isDigest } from "../../formats/oci/mod.ts";
import { chainOf } from "./chain_of.ts";
import type { Ancestor } from "./chains.ts";
import { SnapshotError } from "./errors.ts";
import { type Contests, repositoryOf } from "./contests.ts";
import type { SnapshotFolders } from "./folders.ts";
import type { LazyLayers } from "./layers.ts";
import type { LayerDirectory, LayerProvider } from "./provider.ts";
import { layerLabelsOf } from "./requests.ts";
import type { SnapshotStore } from "./store.ts";
import type { LayerUse } from "./uses.ts";
import type { Labels, Owner } from "./types.ts";

/** What the lower directories are found with. All of it stays the caller's. */
export interface LowersOptions {
  readonly store: SnapshotStore;
  readonly layers: LazyLayers;
  readonly folders: SnapshotFolders;
  readonly provider: LayerProvider;
  /** Knows of images that share a chain. */
  readonly contests: Contests;
  /** How long layers may take to be completed and proven, ms. */
  readonly completeWaitMs: number;
}

/** A snapshot that is to be mounted. */
interface Mounted {
  /** Its key. */
  readonly name: string;
  readonly labels?: Labels | undefined;
  readonly namespace?: string | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a snapshot is mounted on. */
export interface LowerDirectories {
  /** Nearest first. */
  readonly directories: readonly string[];
  /** Owner of the nearest layer's root directory; null when there is no layer. */
  readonly owner: Owner | null;
}

/** Layers by their position in an image, 0 at the bottom. */
type Positions = ReadonlyMap<number, LayerUse>;

/** Which image decides, and what it was given. */
interface Given {
  readonly uses: Positions;
  /** The snapshot that keeps these layers; null when no image decides. */
  readonly row: Ancestor | null;
  /** Index of `row` among the ancestors. */
  readonly from: number;
  /** Whether an older release served it, which kept one layer for each snapshot. */
  readonly isOld: boolean;
  /** Why its layers must be proven, too; null when they need not. */
  readonly contest: string | null;
}

/** One ancestor, as it is shown. */
interface Shown extends LayerDirectory {
  /** The layer that is served; null for a folder. */
  readonly slot: number | null;
}

/**
 * Which directories a snapshot is mounted on. The snapshots of one chain may belong to several images, and
 * each image trusts its own index alone. So the nearest snapshot that names an image decides for all layers
 * below, by their position in that image:
 *
 * | the nearest snapshot that names an image | what is shown of the layers below |
 * |---|---|
 * | is served lazily | what that image was given, layer by layer |
 * | was unpacked, and the image has snapshots below that are served lazily | what it was given there |
 * | was unpacked otherwise, or there is none | what is proven: hashed by this daemon, with the right chain ID |
 *
 * Containers of several images may run on one chain, and containerd does not say which image a new container
 * is of. If an image of another repository shares the chain by other ztocs (`Contests`), all layers must be
 * proven.
 *
 * A lazy snapshot's own directories are shown above the layers that they were made from, and only there.
 */
export class Lowers {
  readonly #options: LowersOptions;

  /** Decides anew each time it is asked. */
  constructor(options: LowersOptions) {
    this.#options = options;
  }

  /**
   * The directories below a snapshot.
   * @param rows the snapshot's ancestors, nearest first.
   * @param age a `known` snapshot shows what it showed when it was new: nobody is asked who shares its chain.
   * @throws SnapshotError `unavailable` when one cannot be shown, or cannot be proven in time.
   */
  async of(
    rows: readonly Ancestor[],
    mounted: Mounted,
    age: "new" | "known",
  ): Promise<LowerDirectories> {
    const labels = layerLabelsOf(mounted.name, mounted.labels);
    const decided = this.#given(rows, labels);
    const contest = age === "known" || namesImage(labels) ||
        rows[0] === undefined
      ? null
      : await this.#options.contests.of(
        chainOf(rows[0]),
        decided.row,
        mounted.namespace ?? null,
      );
    const given = { ...decided, contest };
    const deadline = AbortSignal.timeout(this.#options.completeWaitMs);
    const signal = mounted.signal === undefined
      ? deadline
      : AbortSignal.any([deadline, mounted.signal]);
    const shown = await Promise.all(
      rows.map((_, at) => this.#shown(rows, at, given, signal)),
    );
    const directories: string[] = [];
    for (const [at, { directory }] of shown.entries()) {
      const own = await this.#ownFolder(rows, shown, at, given, signal);
      if (own !== null) directories.push(own);
      directories.push(directory);
    }
    return { directories, owner: shown[0]?.owner ?? null };
  }

  async #shown(
    rows: readonly Ancestor[],
    at: number,
    given: Given,
    signal: AbortSignal,
  ): Promise<Shown> {
    const row = rows[at]!;
    const use = at < given.from
      ? undefined
      : given.uses.get(rows.length - 1 - at);
    if (use === undefined && row.layer === null) {
      return await this.#unpacked(row);
    }
    const kept = use ?? this.#own(row);
    const keeper = use === undefined ? row : given.row ?? row;
    const shown = await this.#options.layers.shown(kept, keeper);
    if (given.contest !== null || (use === undefined && !given.isOld)) {
      await this.#assertProven(kept, {
        ...{ row, below: rows[at + 1] ?? null, signal },
        why: given.contest ?? "it was brought by another image",
      });
    }
    return shown;
  }

  /** What the image that decides was given. */
  #given(rows: readonly Ancestor[], labels: Labels): Given {
    const nothing = {
      ...{ uses: new Map(), row: null, from: 0, isOld: false },
      contest: null,
    };
    const named = namesImage(labels)
      ? labels
      : rows.find((row) => row.layer !== null || namesImage(row.labels))
        ?.labels;
    if (named === undefined) return nothing;
    const at = rows.findIndex((row) => row.layer !== null);
    const row = rows[at];
    if (row === undefined) return nothing;
    const isDecider = !namesImage(labels) &&
      rows.slice(0, at).every(({ labels }) => !namesImage(labels));
    if (!isDecider && !isSameImage(named, row.labels)) return nothing;
    const uses = this.#options.store.uses(row.name);
    const own = uses.at(-1);
    if (own?.position === null) return { ...nothing, row, isOld: true };
    // A snapshot that is not where its image has the layer decides nothing.
    if (own?.position !== rows.length - 1 - at) return nothing;
    const byPosition = new Map(uses.map((use) => [use.position ?? -1, use]));
    return { ...nothing, uses: byPosition, row, from: at };
  }

  #own(row: Ancestor): LayerUse {
    const own = this.#options.store.uses(row.name).at(-1);
    if (own === undefined) {
      throw new Error(`snapshot ${row.name} has no layer`);
    }
    return own;
  }

  async #unpacked({ id }: Ancestor): Promise<Shown> {
    const directory = this.#options.folders.fs(id);
    const { uid, gid } = await Deno.lstat(directory);
    return { directory, owner: { uid: uid ?? 0, gid: gid ?? 0 }, slot: null };
  }

  /**
   * The folder with the own directories of the served layers from `at` on down to the next folder; null
   * when they have none. The uppermost of these snapshots has it.
   * @throws SnapshotError `unavailable` when it was made from layers that are neither shown nor proven.
   */
  async #ownFolder(
    rows: readonly Ancestor[],
    shown: readonly Shown[],
    at: number,
    given: Given,
    signal: AbortSignal,
  ): Promise<string | null> {
    const { folders, store } = this.#options;
    const row = rows[at]!;
    const isTop = shown[at]!.slot !== null &&
      (at === 0 || shown[at - 1]!.slot === null);
    if (!isTop || row.layer === null || !folders.has(row.id)) return null;
    if (row !== given.row && !given.isOld) {
      for (const use of store.uses(row.name)) {
        const shownAt = shown[rows.length - 1 - (use.position ?? -1)];
        // What is shown there was the image's own or is proven.
        if (shownAt?.slot === use.slot) continue;
        await this.#assertProven(use, {
          ...{ row, below: "any", signal },
          why: "another image's directories were made from it",
        });
      }
    }
    return folders.fs(row.id);
  }

  /**
   * A layer that others brought may be shown once this daemon has found it to be what the chain says.
   * @throws SnapshotError `unavailable`
   */
  async #assertProven(
    use: LayerUse,
    { row, below, why, signal }: {
      readonly row: Ancestor;
      /** The snapshot below; `any`: whatever diff ID its image gives will do. */
      readonly below: Ancestor | null | "any";
      /** Why it must be proven. */
      readonly why: string;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    let fault: string;
    try {
      const diffId = await this.#options.provider.proveLayer(use.slot, signal);
      if (diffId !== null && (below === "any" || makes(row, below, diffId))) {
        return;
      }
      fault = diffId === null
        ? "it could not be completed, or is not what its image says"
        : `its tar is ${diffId}, which does not make this chain`;
    } catch (error) {
      fault = error instanceof Error ? error.message : String(error);
    }
    throw new SnapshotError(
      "unavailable",
      row.name,
      `layer ${use.layerDigest} of snapshot ${row.name} must be proven, as ${why}, and is not: ${fault}. ` +
        "Try again; [trust] complete_wait_sec says how long to wait",
    );
  }
}

/** Whether a layer of that diff ID, on the snapshot below, makes the chain of a snapshot. */
function makes(
  row: Ancestor,
  below: Ancestor | null,
  diffId: string,
): boolean {
  const parent = below === null ? "" : chainOf(below);
  return isDigest(diffId) && (parent === "" || isDigest(parent)) &&
    chainIdOf(parent, diffId) === chainOf(row);
}

function namesImage(labels: Labels): boolean {
  return labels[CRI_LABELS.manifestDigest] !== undefined &&
    labels[CRI_LABELS.imageRef] !== undefined;
}

/** Whether two snapshots belong to one manifest of one repository. */
function isSameImage(one: Labels, other: Labels): boolean {
  const { manifestDigest, imageRef } = CRI_LABELS;
  return one[manifestDigest] === other[manifestDigest] &&
    repositoryOf(one[imageRef]) === repositoryOf(other[imageRef]);
}
