import type { Labels, Owner, SnapshotUsage } from "./types.ts";

/** A layer that containerd is about to unpack. */
export interface LayerRequest {
  /** Chain ID of the layer: the name its snapshot will have. */
  readonly chainId: string;
  /** Key of the snapshot being prepared. */
  readonly key: string;
  /** All labels of the call: image reference, manifest digest, layer digest, … */
  readonly labels: Labels;
  /** Fires when the caller gives up. */
  readonly signal: AbortSignal;
}

/** Where a layer is shown. */
export interface LayerDirectory {
  /** Absolute path of the read-only directory that shows the layer, with whiteouts as overlayfs wants them. */
  readonly directory: string;
  /**
   * Of that directory. The provider says so, because calling `stat` is not safe: this process may serve the
   * mount itself, and a process that is killed while it waits for its own answer cannot end.
   */
  readonly owner: Owner;
}

/** A layer that is served lazily. */
export interface ProvidedLayer extends LayerDirectory {
  /** Digest of the layer blob. Snapshots of the same digest share one served layer. */
  readonly layerDigest: string;
}

/** One part of a chain: a served layer, or a folder with files. */
export type ChainPart =
  | { readonly layerDigest: string }
  | { readonly folder: string };

/** A chain of layers whose uppermost layer is served. */
export interface LayerChain {
  /** Of the uppermost layer. */
  readonly layerDigest: string;
  /** The others, nearest first. */
  readonly below: readonly ChainPart[];
  /** The record of the own directories of the chain below the uppermost layer; null when it has none. */
  readonly record: string | null;
}

/**
 * Directories that a chain shows above its layers because they belong to no single layer. An archive may
 * name a file without its directories; these directories then look as they do in the layers below.
 */
export interface OwnDirectories {
  /** Input for the directories of a longer chain. */
  readonly record: string;
  /** Makes the directories in an empty folder. They are on disk when it resolves. */
  write(folder: string): Promise<void>;
}

/** What the database keeps of a committed lazy snapshot. */
export interface StoredLayer {
  /** The snapshot's number: durable and never reused. */
  readonly id: string;
  /** The snapshot's labels: those of its Prepare, and later changes. */
  readonly labels: Labels;
  /** Where the layer was shown before. */
  readonly directory: string | null;
  /** Of the layer blob; null in the database of a release that did not keep it. */
  readonly layerDigest: string | null;
}

/**
 * Serves layers lazily for the snapshotter.
 *
 * The snapshotter never runs two calls of `prepareLayer` for one chain ID at the same time, and none while
 * `releaseLayer` runs. Calls for different chain IDs may overlap, also when their layer is the same.
 */
export interface LayerProvider {
  /**
   * Called by Prepare when the labels name a target. A second call for the same layer must be quick.
   *
   * @returns a directory that shows the layer, or null when containerd must unpack it. A rejection
   * counts as null and is logged.
   */
  prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null>;

  /**
   * Called before a chain is committed whose uppermost layer came from `prepareLayer`.
   *
   * @returns null when the layers alone show the right files. A rejection means that containerd must
   * unpack the uppermost layer.
   */
  ownDirectories(chain: LayerChain): Promise<OwnDirectories | null>;

  /**
   * Called after a restart for each committed lazy snapshot. Called again when a snapshot is needed that
   * could not be restored.
   *
   * @param from `disk`: the daemon is starting and users of every layer wait, so nothing slow and no
   * registry. `anywhere`: somebody needs this layer.
   * @returns where the layer is shown now, or null when it cannot be.
   */
  restoreLayer(
    snapshot: StoredLayer,
    from: "disk" | "anywhere",
  ): Promise<LayerDirectory | null>;

  /** The last snapshot using that layer is gone. */
  releaseLayer(layerDigest: string): Promise<void>;

  /** What of the layer is on this disk. */
  usage(layerDigest: string): Promise<SnapshotUsage>;
}

/** Leaves every layer to containerd: an ordinary overlay snapshotter. */
export const NO_LAYERS: LayerProvider = {
  prepareLayer: () => Promise.resolve(null),
  ownDirectories: () => Promise.resolve(null),
  restoreLayer: () => Promise.resolve(null),
  releaseLayer: () => Promise.resolve(),
  usage: () => Promise.resolve({ sizeBytes: 0, inodes: 0 }),
};
