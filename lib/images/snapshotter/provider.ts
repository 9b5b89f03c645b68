import type { Labels, Owner, SnapshotUsage } from "./types.ts";

/** A layer that containerd is about to unpack. */
export interface LayerRequest {
  /** Chain ID of the layer: the name its snapshot will have. */
  readonly chainId: string;
  /** Key of the snapshot being prepared. */
  readonly key: string;
  /** Everything the caller says: image reference, manifest digest, layer digest, … */
  readonly labels: Labels;
  /** Fires when the caller gave up. */
  readonly signal: AbortSignal;
}

/** Where a layer is shown. */
export interface LayerDirectory {
  /** Absolute path of the read-only directory that shows the layer, whiteouts as overlayfs wants them. */
  readonly directory: string;
  /**
   * Of that directory. Told, as looking is not safe: the mount may be this very process's, and one
   * that is killed while it waits for its own answer cannot end.
   */
  readonly owner: Owner;
}

/** A layer that is served lazily. */
export interface ProvidedLayer extends LayerDirectory {
  /** Digest of the layer blob. Snapshots of equal digest share what is served. */
  readonly layerDigest: string;
}

/** What a chain is made of: a layer that is served, or a folder with files. */
export type ChainPart =
  | { readonly layerDigest: string }
  | { readonly folder: string };

/** A chain of layers, of which the uppermost is served. */
export interface LayerChain {
  /** Of the uppermost layer. */
  readonly layerDigest: string;
  /** The others, nearest first. */
  readonly below: readonly ChainPart[];
  /** The record of the own directories of the chain without its uppermost layer, when it has any. */
  readonly record: string | null;
}

/**
 * Directories that a chain shows above its layers, as they belong to no layer alone: an archive that
 * names files and not what they are in implies directories as they are below it.
 */
export interface OwnDirectories {
  /** From it those of a longer chain are made. */
  readonly record: string;
  /** Makes them in an empty folder, on disk when it resolves. */
  write(folder: string): Promise<void>;
}

/** What the state remembers of a committed lazy snapshot. */
export interface StoredLayer {
  /** The snapshot's number: durable and never used again. */
  readonly id: string;
  /** Those the snapshot has: the ones of its Prepare, and others since. */
  readonly labels: Labels;
  /** Where the layer was shown before. */
  readonly directory: string | null;
  /** Of the layer blob; null in the state of a release that did not keep it. */
  readonly layerDigest: string | null;
}

/**
 * What a lazily served layer gives to the snapshotter.
 *
 * The snapshotter never calls `prepareLayer` twice at a time for one chain ID, and never while
 * `releaseLayer` runs; calls for different chain IDs overlap, also when their layer is the same.
 */
export interface LayerProvider {
  /**
   * Called by Prepare when the labels carry a target. Must be quick to call again for the same layer.
   *
   * @returns a directory that shows the layer, or null when containerd must unpack it. A rejection
   * counts as null and is logged.
   */
  prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null>;

  /**
   * Called before a chain is committed whose uppermost layer `prepareLayer` has given.
   *
   * @returns null when its layers alone show what is right. A rejection means that containerd must
   * unpack the uppermost one.
   */
  ownDirectories(chain: LayerChain): Promise<OwnDirectories | null>;

  /**
   * Called after a restart for each committed lazy snapshot, and again whenever one that could not be
   * restored is needed.
   *
   * @param from `disk`: the daemon is starting, users of the layer wait for all layers: nothing
   * slow, no registry. `anywhere`: somebody needs this one.
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
