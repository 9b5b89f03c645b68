import type { Labels, Owner, SnapshotUsage } from "./types.ts";

/** A layer that containerd is about to unpack. */
export interface LayerRequest {
  /** Chain ID of the layer: the name its snapshot will have. */
  readonly chainId: string;
  /** Key of the snapshot being prepared. */
  readonly key: string;
  /** Everything the caller says: image reference, manifest digest, layer digest, … */
  readonly labels: Labels;
  /** containerd's namespace the caller works in. */
  readonly namespace: string | undefined;
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

/** A layer that is served lazily, wherever in an image. */
export interface ServedLayer extends LayerDirectory {
  /** Names what is served: by which ztoc, and of whom. Durable, and never used again. */
  readonly slot: number;
  /** Digest of the layer blob. */
  readonly layerDigest: string;
}

/** An image that says which layers a snapshot shows. */
export interface ProvidedImage {
  /** Names who the image speaks for, the image, and its index: equal keys, equal layers. */
  readonly key: string;
  /** Names who the image speaks for. */
  readonly claimant: string;
  /** Of containerd. */
  readonly namespace: string;
  /** Of the registry. */
  readonly host: string;
  /** In that registry. */
  readonly repository: string;
  /** Of the credentials; says nothing of them. */
  readonly fingerprint: string;
  /** As the image was asked for. */
  readonly reference: string;
  /** Of the platform's manifest. */
  readonly manifestDigest: string;
  /** Of the index; null: it has none. */
  readonly indexDigest: string | null;
  /** Bottom first; a ztoc where the index names one. */
  readonly layers: readonly {
    /** Of the blob. */
    readonly digest: string;
    /** Of the tar. */
    readonly diffId: string;
    /** By which it is served. */
    readonly ztocDigest: string | null;
  }[];
}

/** A layer that is served lazily, and what its image says is below it. */
export interface ProvidedLayer extends ServedLayer {
  /** Whose layer it is. */
  readonly image: ProvidedImage;
  /** The image's layers below, bottom first; null where one cannot be served lazily. */
  readonly below: readonly (ServedLayer | null)[];
}

/** What the state remembers of a lazily served layer. */
export interface StoredLayer {
  /** Where it was served; 0 in the state of a release that did not keep it. */
  readonly slot: number;
  /** For whom; empty in the state of a release that did not keep it. */
  readonly claimant: string;
  /** Labels of a snapshot of that image. */
  readonly labels: Labels;
  /** Where the layer was shown before. */
  readonly directory: string;
  /** Of the layer blob. */
  readonly layerDigest: string;
}

/**
 * What a lazily served layer gives to the snapshotter.
 *
 * The snapshotter never calls `prepareLayer` twice at a time for one chain ID, and never while
 * `releaseLayer` runs; calls for different chain IDs overlap, also when their layer is the same.
 */
export interface LayerProvider {
  /**
   * Which image the labels of a Prepare name, and who it speaks for: `ProvidedImage.key`. Asks no registry.
   * @returns null when they name none.
   */
  imageKey(
    request: Pick<LayerRequest, "labels" | "namespace">,
  ): Promise<string | null>;

  /**
   * Called by Prepare when the labels carry a target. Must be quick to call again for the same layer.
   *
   * @returns a directory that shows the layer, or null when containerd must unpack it. A rejection
   * counts as null and is logged.
   */
  prepareLayer(request: LayerRequest): Promise<ProvidedLayer | null>;

  /**
   * Called after a restart for each lazily served layer, and again whenever one that could not be
   * restored is needed.
   *
   * @param from `disk`: the daemon is starting, users of the layer wait for all layers: nothing
   * slow, no registry. `anywhere`: somebody needs this one.
   * @returns where the layer is shown now, or null when it cannot be.
   */
  restoreLayer(
    layer: StoredLayer,
    from: "disk" | "anywhere",
  ): Promise<ServedLayer | null>;

  /** The last snapshot that uses that layer for that claimant is gone. */
  releaseLayer(
    layer: Pick<StoredLayer, "slot" | "claimant">,
  ): Promise<void>;

  /**
   * Fetches all of a layer that is shown, and hashes it.
   * @returns the diff ID this daemon has seen it to have; null when it cannot be completed, or is not what its image
   * says.
   * @throws the signal's reason, or what keeps the layer from being completed.
   */
  proveLayer(slot: number, signal: AbortSignal): Promise<string | null>;

  /** What of the layer is on this disk. */
  usage(slot: number): Promise<SnapshotUsage>;
}

/** Leaves every layer to containerd: an ordinary overlay snapshotter. */
export const NO_LAYERS: LayerProvider = {
  imageKey: () => Promise.resolve(null),
  prepareLayer: () => Promise.resolve(null),
  restoreLayer: () => Promise.resolve(null),
  releaseLayer: () => Promise.resolve(),
  proveLayer: () => Promise.resolve(null),
  usage: () => Promise.resolve({ sizeBytes: 0, inodes: 0 }),
};
