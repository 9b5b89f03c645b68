import { chainIdOf, CRI_LABELS } from "../../remote/image/mod.ts";
import { isDigest } from "../../formats/oci/mod.ts";
import { parseReference } from "../../remote/registry/mod.ts";
import { SnapshotError } from "./errors.ts";
import type { SnapshotFolders } from "./folders.ts";
import type { LazyLayers } from "./layers.ts";
import type { LayerDirectory, LayerProvider } from "./provider.ts";
import type { SnapshotRow, SnapshotStore } from "./store.ts";
import type { LayerUse } from "./uses.ts";
import { type Labels, type Owner, TARGET_LABEL } from "./types.ts";

/** What the lower directories are found with; all stays the caller's. */
export interface LowersOptions {
  readonly store: SnapshotStore;
  readonly layers: LazyLayers;
  readonly folders: SnapshotFolders;
  readonly provider: LayerProvider;
  /** How long layers may take to be completed and hashed, ms. */
  readonly completeWaitMs: number;
}

/** A snapshot that is to be mounted. */
interface Mounted {
  readonly labels?: Labels | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Which directories a snapshot is mounted on. Snapshots of one chain may be of several images, each of
 * which trusts its own index alone. So the nearest snapshot that names an image decides for all layers
 * below, by their position in that image:
 *
 * | the nearest that names an image | what is shown of the layers below |
 * |---|---|
 * | is served lazily | what that image was given, layer by layer |
 * | was unpacked, and the image has snapshots below that are served lazily | what it was given there |
 * | was unpacked otherwise, or there is none | what is proven: hashed by this daemon, its chain ID right |
 */
export class Lowers {
  readonly #options: LowersOptions;

  /** Decides when it is asked, anew each time. */
  constructor(options: LowersOptions) {
    this.#options = options;
  }

  /**
   * The directories below a snapshot, nearest first.
   * @param rows the snapshot's ancestors, nearest first.
   * @throws SnapshotError `unavailable` when one cannot be shown, or cannot be proven in time.
   */
  of(
    rows: readonly SnapshotRow[],
    mounted: Mounted,
  ): Promise<LayerDirectory[]> {
    const given = this.#given(rows, mounted.labels ?? {});
    const deadline = AbortSignal.timeout(this.#options.completeWaitMs);
    const signal = mounted.signal === undefined
      ? deadline
      : AbortSignal.any([deadline, mounted.signal]);
    return Promise.all(rows.map((row, at) => {
      const position = rows.length - 1 - at;
      const use = given.uses.get(position);
      if (use !== undefined && at >= given.from) {
        return this.#options.layers.shown(use, given.row ?? row);
      }
      if (row.layer === null) return this.#unpacked(row);
      if (given.isOld) return this.#own(row);
      return this.#proven(row, rows[at + 1], signal);
    }));
  }

  /** What the image that decides was given, by position. */
  #given(rows: readonly SnapshotRow[], labels: Labels): {
    readonly uses: ReadonlyMap<number, LayerUse>;
    /** Whose uses they are. */
    readonly row: SnapshotRow | null;
    readonly from: number;
    /** Whether an older release served it, which kept one layer for each snapshot. */
    readonly isOld: boolean;
  } {
    const nothing = {
      uses: new Map<number, LayerUse>(),
      row: null,
      from: 0,
      isOld: false,
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
    // By depth: a row at another place than its image has it for decides nothing.
    const own = uses.at(-1);
    if (own?.position === null) return { ...nothing, isOld: true };
    if (own?.position !== rows.length - 1 - at) return nothing;
    return {
      uses: new Map(uses.map((use) => [use.position ?? -1, use])),
      row,
      from: at,
      isOld: false,
    };
  }

  async #own(row: SnapshotRow): Promise<LayerDirectory> {
    const use = this.#options.store.uses(row.name).at(-1);
    if (use === undefined) {
      throw new Error(`snapshot ${row.name} has no layer`);
    }
    return await this.#options.layers.shown(use, row);
  }

  async #unpacked({ id }: SnapshotRow): Promise<LayerDirectory> {
    const directory = this.#options.folders.fs(id);
    const { uid, gid } = await Deno.lstat(directory);
    const owner: Owner = { uid: uid ?? 0, gid: gid ?? 0 };
    return { directory, owner };
  }

  /** A layer that some other image was given, once this daemon has seen that it is what the chain says. */
  async #proven(
    row: SnapshotRow,
    parent: SnapshotRow | undefined,
    signal: AbortSignal,
  ): Promise<LayerDirectory> {
    const shown = await this.#own(row);
    const { slot } = this.#options.store.uses(row.name).at(-1)!;
    const chainId = row.layer?.chainId;
    let why: string;
    try {
      const diffId = await this.#options.provider.proveLayer(slot, signal);
      const below = parent === undefined ? "" : chainOf(parent);
      if (
        isDigest(diffId) && (below === "" || isDigest(below)) &&
        chainIdOf(below, diffId) === chainId
      ) return shown;
      why = diffId === null
        ? "it could not be completed, or is not what its image says"
        : `it is ${diffId}, which does not make this chain`;
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    throw new SnapshotError(
      "unavailable",
      row.name,
      `layer ${row.layer?.layerDigest} of snapshot ${row.name} was brought by another image and is not proven ` +
        `for this one: ${why}`,
    );
  }
}

/** The chain a snapshot says it is; empty for none. */
function chainOf({ layer, labels, name }: SnapshotRow): string {
  return layer?.chainId ?? labels[TARGET_LABEL] ?? name;
}

function namesImage(labels: Labels): boolean {
  return labels[CRI_LABELS.manifestDigest] !== undefined &&
    labels[CRI_LABELS.imageRef] !== undefined;
}

/** Whether two snapshots are of one manifest of one repository. */
function isSameImage(one: Labels, other: Labels): boolean {
  const { manifestDigest, imageRef } = CRI_LABELS;
  return one[manifestDigest] === other[manifestDigest] &&
    repositoryOf(one[imageRef]) === repositoryOf(other[imageRef]);
}

function repositoryOf(imageRef = ""): string {
  try {
    const { host, repository } = parseReference(imageRef);
    return `${host}/${repository}`;
  } catch {
    return imageRef; // names no image: equal to itself alone
  }
}
