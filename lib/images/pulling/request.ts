import type { Containerd } from "../../remote/containerd/mod.ts";
import type { Descriptor, Digest, Platform } from "../../formats/oci/mod.ts";
import type {
  Image,
  ImageFamily,
  ImageLayer,
  ImagePolicy,
} from "../../remote/image/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";

/** A request whose containerd is connected. */
export interface ConnectedRequest extends PullRequest {
  readonly containerd: Containerd;
}

/** What is pulled, and how. */
export interface PullRequest {
  /** The client to fetch the image with; stays the caller's. */
  readonly client: RegistryClient;
  /** Where the image goes; stays the caller's. The registry is asked while it is being connected. */
  readonly containerd: Containerd | Promise<Containerd>;
  /** The snapshotter's name in containerd. */
  readonly snapshotter: string;
  /** The image, and its name in containerd. */
  readonly reference: Reference;
  /** Default: this machine's, or the only one the image has. */
  readonly platform?: Platform | undefined;
  /** What it is pulled for: which of its load orders is meant. Default: the image and the daemon say. */
  readonly workload?: string | undefined;
  /** How the daemon is to take it, where it hears labels. Default: as it is configured. */
  readonly policy?: ImagePolicy | undefined;
  /** Use this index and no other. */
  readonly indexDigest?: Digest | undefined;
  /** Aborts the pull, which then cleans up what it had begun. */
  readonly signal?: AbortSignal | undefined;
  /** Told which manifest it is, before that is read. */
  readonly onManifest?: (manifest: Digest) => void;
  /** Told which layers it has, before any of them is brought. */
  readonly onLayers?: (layers: readonly Descriptor[]) => void;
  /** Told of each layer that is there. */
  readonly onLayer?: (layer: PulledLayer) => void;
  /** Told of bytes of layers that had to be downloaded. */
  readonly onDownload?: (layer: Descriptor, bytes: number) => void;
}

/** What a pull did. */
export interface PullResult {
  /** In containerd. */
  readonly name: string;
  /** What the name stands for: an index, or the manifest. */
  readonly target: Descriptor;
  /** Of the platform's image. */
  readonly manifest: Descriptor;
  /** Bottom first. */
  readonly layers: readonly PulledLayer[];
}

/** All of an image but the bytes of its layers. */
export interface FoundImage {
  /** What the reference stands for. */
  readonly family: ImageFamily;
  /** The platform's image of it. */
  readonly image: Image;
  /** Bottom first. */
  readonly layers: readonly ImageLayer[];
}

/** How one layer came to be there. */
export interface PulledLayer {
  /** Of the blob. */
  readonly descriptor: Descriptor;
  /** Of this layer and all below it. */
  readonly chainId: string;
  /** `served`: by the snapshotter. `present`: it was there. `unpacked`: downloaded and unpacked. */
  readonly outcome: "served" | "present" | "unpacked";
}
