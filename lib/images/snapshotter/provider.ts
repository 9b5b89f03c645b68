import type { Labels, Owner, SnapshotUsage } from "./types.ts";

/** A layer that containerd is about to unpack. */
export interface LayerRequest {
  /** Chain ID of the layer: the name its snapshot will have. */
  readonly chainId: string;
  /** That of the snapshot below it; empty when there is none. */
  readonly parentChain: string;
  /** Key of the snapshot being prepared. */
  readonly key: string;
  /** All labels of the call: image reference, manifest digest, layer digest, … */
  readonly labels: Labels;
  /** The caller's containerd namespace. */
  readonly namespace: string | undefined;
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

/** A layer that is served lazily, at any position of an image. */
export interface ServedLayer extends LayerDirectory {
  /** Names what is served: by which ztoc, and for whom. Durable, and never reused. */
  readonly slot: number;
  /** Digest of the layer blob. */
  readonly layerDigest: string;
}

/** The image that says which layers a snapshot shows. */
export interface ProvidedImage {
  /** Names who the image speaks for, the image, and its index. Equal keys mean equal layers. */
  readonly key: string;
  /** Names who the image speaks for. */
  readonly claimant: string;
  /** Of containerd. */
  readonly namespace: string;
  /** Of the registry. */
  readonly host: string;
  /** In that registry. */
  readonly repository: string;
  /** Of the credentials; says nothing about them. */
  readonly fingerprint: string;
  /** As the image was asked for. */
  readonly reference: string;
  /** Of the platform's manifest. */
  readonly manifestDigest: string;
  /** Of the index; null when it has none. */
  readonly indexDigest: string | null;
  /** Bottom first. */
  readonly layers: readonly {
    /** Of the blob. */
    readonly digest: string;
    /** Of the tar. */
    readonly diffId: string;
    /** Of the ztoc that the index names; null when it names none. */
    readonly ztocDigest: string | null;
  }[];
}

/** A layer that is served lazily, and those that its image has below it. */
export interface ProvidedLayer extends ServedLayer {
  /** The image of the layer. */
  readonly image: ProvidedImage;
  /** The image's layers below, bottom first; null where one cannot be served lazily. */
  readonly below: readonly (ServedLayer | null)[];
}

/** One part of a chain: a served layer, or a folder with files. */
export type ChainPart =
  | { readonly slot: number }
  | { readonly folder: string };

/** A chain of layers whose uppermost layer is served. */
export interface LayerChain {
  /** Of the uppermost layer. */
  readonly slot: number;
  /** The others, nearest first. */
  readonly below: readonly ChainPart[];
  /**
   * The record of the own directories of the chain below the uppermost layer, if they were made from these
   * very parts; null when that chain has none. Left out when it is not known: then it is made from the parts.
   */
  readonly record?: string | null;
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

/** What the database keeps of a lazily served layer. */
export interface StoredLayer {
  /** Where it was served; 0 in the database of a release that did not keep it. */
  readonly slot: number;
  /** For whom; empty in the database of a release that did not keep it. */
  readonly claimant: string;
  /** Labels of a snapshot of that image. */
  readonly labels: Labels;
  /** Where the layer was shown before. */
  readonly directory: string;
  /** Of the layer blob. */
  readonly layerDigest: string;
}

/**
 * Serves layers lazily for the snapshotter.
 *
 * The snapshotter never runs two calls of `prepareLayer` for one chain ID at the same time, and none while
 * `releaseLayer` runs. Calls for different chain IDs may overlap, also when their layer is the same.
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
   * Called after a restart for each lazily served layer. Called again when a layer is needed that could not
   * be restored.
   *
   * @param from `disk`: the daemon is starting and users of every layer wait, so nothing slow and no
   * registry. `anywhere`: somebody needs this layer.
   * @returns where the layer is shown now, or null when it cannot be.
   */
  restoreLayer(
    layer: StoredLayer,
    from: "disk" | "anywhere",
  ): Promise<ServedLayer | null>;

  /** The last snapshot that uses the layer for that claimant is gone. */
  releaseLayer(
    layer: Pick<StoredLayer, "slot" | "claimant">,
  ): Promise<void>;

  /**
   * Fetches the rest of a served layer and hashes all of it.
   * @returns the diff ID that this daemon has found it to have. Null when the layer cannot be completed, or
   * is not what its image says.
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
  ownDirectories: () => Promise.resolve(null),
  restoreLayer: () => Promise.resolve(null),
  releaseLayer: () => Promise.resolve(),
  proveLayer: () => Promise.resolve(null),
  usage: () => Promise.resolve({ sizeBytes: 0, inodes: 0 }),
};

/** An image that containerd has. */
export interface NamedImage {
  /** Of the registry. */
  readonly host: string;
  /** In that registry. */
  readonly repository: string;
  /** Of the platform's manifest. */
  readonly manifestDigest: string;
  /** Of the index that the manifest names; null when it names none. */
  readonly indexDigest: string | null;
}

/** Knows which images containerd has. */
export interface ImageCatalog {
  /**
   * The images of a namespace whose layers make up a chain.
   * @throws the signal's reason, or what keeps containerd from answering.
   */
  ofChain(
    namespace: string,
    chainId: string,
    signal: AbortSignal,
  ): Promise<readonly NamedImage[]>;
}
