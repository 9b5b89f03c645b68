/** The effective configuration, as far as it has an effect. @module */

/**
 * The effective configuration. Keys are lower case, times in the unit their name says. The existing
 * daemon's other keys are accepted and written by `dumpConfig`, but have no effect; `KEYS` says why.
 */
export interface Config {
  /** true: tar headers inside spans are not compared with the layer's tree. Default: false. */
  readonly disable_verification: boolean;
  /**
   * Time limit until an image's layers can be mounted, seconds; after it containerd pulls the image.
   * Default 30.
   */
  readonly mount_timeout_sec: number;
  /** Where figures of the process are served, `HOST:PORT` or a socket's path. Default: nowhere. */
  readonly debug_address: string;
  /** So long after a container's start it is told what was read of its image, seconds. Default 60. */
  readonly fuse_metrics_emit_wait_duration_sec: number;
  /** true: as `fuse.log_fuse_operations`. */
  readonly debug: boolean;
  /** Requests of the kernel. */
  readonly fuse: FuseConfig;
  /** Layers that are opened at a time, of all images; below 0: any number. Default 100. */
  readonly max_concurrency: number;
  /** Where metrics are served: `HOST:PORT`, or a socket's path. Default: nowhere. */
  readonly metrics_address: string;
  /** The kind of `metrics_address`. */
  readonly metrics_network: "tcp" | "unix";
  /** true: no metrics. */
  readonly no_prometheus: boolean;
  /** Requests to registries. */
  readonly http: HttpConfig;
  /** How a layer's bytes are read. */
  readonly blob: BlobConfig;
  /** Fetching in the background. */
  readonly background_fetch: BackgroundFetchConfig;
  /** Prefetch lists. */
  readonly prefetch: PrefetchConfig;
  /** What is kept of layers. */
  readonly cache: CacheConfig;
  /** How layers are opened. */
  readonly opening: OpeningConfig;
  /** containerd, beside which the daemon runs. */
  readonly content_store: ContentStoreConfig;
  /** Which indexes make an image a lazy one. */
  readonly pull_modes: PullModesConfig;
  /** Images that are taken whole. */
  readonly eager: EagerConfig;
  /** Starts that are recorded. */
  readonly recording: RecordingConfig;
  /** Whose word counts. */
  readonly trust: TrustConfig;
  /** What starts read first. */
  readonly load_order: LoadOrderConfig;
  /** Which hosts are asked at all. */
  readonly network: NetworkConfig;
  /** Registry hosts. */
  readonly resolver: ResolverConfig;
  /** Logins of the kubelet's pulls. */
  readonly cri_keychain: CriKeychainConfig;
  /** Logins of Kubernetes' secrets. */
  readonly kubeconfig_keychain: KubeconfigKeychainConfig;
  /** Logins of the kubelet's plugins. */
  readonly credential_provider: CredentialProviderConfig;
  /** How layers are shown. */
  readonly filesystem: FilesystemConfig;
  /** Which layers are lazy. */
  readonly snapshotter: SnapshotterConfig;
}

/** `[cri_keychain]`: logins of the kubelet's pulls. */
export interface CriKeychainConfig {
  /** true: the CRI image service is served beside the snapshots, and its pulls bring logins. Default: false. */
  readonly enable_keychain: boolean;
  /** The socket of the image service behind it. Default: containerd's. */
  readonly image_service_path: string;
}

/** `[kubeconfig_keychain]`: logins of Kubernetes' secrets. */
export interface KubeconfigKeychainConfig {
  /** true: image-pull secrets of all namespaces are watched. Default: false. */
  readonly enable_keychain: boolean;
  /** Default: as kubectl finds it, or the pod's own account. */
  readonly kubeconfig_path: string;
}

/** `[credential_provider]`: the kubelet's plugins for logins. */
export interface CredentialProviderConfig {
  /** The kubelet's `--image-credential-provider-config`. Default: none. */
  readonly config_path: string;
  /** The folder of the plugins, the kubelet's `--image-credential-provider-bin-dir`. */
  readonly bin_dir: string;
}

/** `[fuse]`: requests of the kernel. */
export interface FuseConfig {
  /** true: the log tells of every one, with paths. Default: false. */
  readonly log_fuse_operations: boolean;
}

/** `[snapshotter]`: which layers are lazy. */
export interface SnapshotterConfig {
  /** true: `/readyz` says yes although layers of earlier pulls cannot be served. Default: false. */
  readonly allow_invalid_mounts_on_restart: boolean;
  /** Layers whose blob is smaller are downloaded whole before they are shown, bytes. Default 0: none. */
  readonly min_layer_size: number;
}

/** `[http]`: times and tries of requests to registries. */
export interface HttpConfig {
  /** How long a connection may take to be made, ms. Default 3000. */
  readonly dialtimeoutmsec: number;
  /** How long a request may take with its answer, but for streams of whole blobs, ms. Default 300 000. */
  readonly requesttimeoutmsec: number;
  /** How long a registry may take to begin its answer, ms. Default 3000. */
  readonly responseheadertimeoutmsec: number;
  /** Tries after the first one. Default 8. */
  readonly maxretries: number;
  /** The first wait before another try, ms; it doubles each time. Default 30. */
  readonly minwaitmsec: number;
  /** The longest wait between two tries, ms. Default 300 000. */
  readonly maxwaitmsec: number;
}

/** `[blob]`: reads of layers. */
export interface BlobConfig {
  /** The least time between two checks of a layer's connection, seconds. Default 60. */
  readonly valid_interval: number;
  /** true: it is checked with each container. Default: false. */
  readonly check_always: boolean;
  /** How long one range may take with all its tries, seconds. Default 300. */
  readonly fetching_timeout_sec: number;
  /** How often a span is fetched again from a source that gave wrong bytes. Default 3; below 0: 3. */
  readonly max_span_verification_retries: number;
  /** A read whose bytes do not arrive fails after so long, seconds. Default 30. */
  readonly max_read_wait_sec: number;
  /** Tries after the first one. Default: as `[http]` says, like the next two. */
  readonly max_retries: number;
  /** The first wait before another try, ms; it doubles each time. */
  readonly min_wait_msec: number;
  /** The longest wait between two tries, ms. */
  readonly max_wait_msec: number;
}

/** `[prefetch]`: the prefetch lists of indexes. */
export interface PrefetchConfig {
  /** true: what they name is fetched as soon as its layer is open. Default: false. */
  readonly enable: boolean;
  /** Layers that are prefetched at once. Default 0: any number. */
  readonly max_concurrency: number;
}

/** `[background_fetch]`: layers are completed while nobody waits. */
export interface BackgroundFetchConfig {
  /** true: only spans that readers want are fetched. */
  readonly disable: boolean;
  /** Delay after a layer is first needed before the background fetches it, ms. Default 30 000. */
  readonly silence_period_msec: number;
  /** The most layers that wait to be completed. Default 300. */
  readonly max_queue_size: number;
  /** Which layer is dropped when there are more. */
  readonly drop_policy: "newest" | "oldest";
  /** Time between two lines of what it has to do, seconds. Default 10. */
  readonly emit_metric_period_sec: number;
  /** Time between two spans of all layers together, ms. Default 0: none. */
  readonly fetch_period_msec: number;
  /** Compressed bytes a second, of all layers together. Default 0: whatever bandwidth is spare. */
  readonly max_bytes_per_sec: number;
}

/** `[cache]`: how much of layers is kept. */
export interface CacheConfig {
  /** Uncompressed bytes of all layers together. Default 0: everything is kept. */
  readonly max_bytes: number;
  /**
   * true: layers that no snapshot uses are kept until their room is needed. Default: they are removed at
   * once.
   */
  readonly keep_removed: boolean;
}

/** `[opening]`: from a ztoc to a layer that is served. */
export interface OpeningConfig {
  /**
   * The most memory that opening one layer may take, and all that are opened at a time together, bytes. A
   * layer whose ztoc would take more is not served lazily. Default 1 GiB.
   */
  readonly max_memory_bytes: number;
}

/** `[network]`: what is asked by HTTP. */
export interface NetworkConfig {
  /**
   * The hosts that are asked, `host` or `host:port`, wherever registries lead: registries, mirrors, token servers,
   * blob stores. Default: empty, which is any.
   */
  readonly hosts: readonly string[];
}

/** `[content_store]`: whose store is used. */
export interface ContentStoreConfig {
  /** Where compressed layers are kept that were taken whole; `soci`: nowhere. Default `soci`. */
  readonly type: "soci" | "containerd";
  /**
   * Path of containerd's socket. The daemon asks there which images share a chain, and keeps layers there if `type` says so. Default
   * `/run/containerd/containerd.sock`.
   */
  readonly containerd_address: string;
}

/** `[pull_modes]`: how images are pulled. */
export interface PullModesConfig {
  /** Indexes that a registry lists as referrers of an image. Default: not asked for. */
  readonly soci_v1: PullModeConfig;
  /** Indexes that an image names itself. Default: used. */
  readonly soci_v2: PullModeConfig;
  /** Layers that are taken whole. Default: none. */
  readonly parallel_pull_unpack: ParallelPullConfig;
}

/** `[pull_modes.parallel_pull_unpack]`: layers that are taken whole, side by side. */
export interface ParallelPullConfig {
  /** true: the layers of every image are. */
  readonly enable: boolean;
  /** true: those of images without a usable index are. */
  readonly experimental_parallel_pull_as_fallback: boolean;
  /** Requests at a time. Default -1: any number. */
  readonly max_concurrent_downloads: number;
  /** Requests of one image at a time. Default 3. */
  readonly max_concurrent_downloads_per_image: number;
  /** Bytes of one request, as `8mb`. Default: a layer is one request. */
  readonly concurrent_download_chunk_size: string;
  /** Layers that are inflated at a time. Default -1: any number. */
  readonly max_concurrent_unpacks: number;
  /** Of one image. Default 1. */
  readonly max_concurrent_unpacks_per_image: number;
  /** Whether compressed layers go to containerd's content store, too. Default false: they do. */
  readonly discard_unpacked_layers: boolean;
  /** Programs that decompress layers, by how these are compressed. Default: the daemon does. */
  readonly decompress_streams: {
    readonly gzip?: ProgramConfig | undefined;
    readonly zstd?: ProgramConfig | undefined;
  };
}

/** A program of this machine. */
export interface ProgramConfig {
  /** Its absolute path. */
  readonly path: string;
  /** Its arguments. Default: none. */
  readonly args: readonly string[];
}

/** `[eager]`: images that are taken whole as fast as possible, and of which nothing else is kept. */
export interface EagerConfig {
  /** Those without a usable index, as `[trust]` names repositories. Default: none. */
  readonly unindexed: readonly string[];
  /** Those that are in any case. Default: none. */
  readonly images: readonly string[];
  /** From patterns to how such images are taken; the first that fits counts. Default: none. */
  readonly policies: Readonly<
    Record<string, "lazy" | "complete" | "eager" | "auto">
  >;
  /** Images whose labels say how they are taken. Default: none. */
  readonly labels: readonly string[];
  /** Images of no more compressed bytes are taken whole, as `8mb`. Default: none. */
  readonly small_images: string;
  /** What becomes of the index that is made in passing. Default: `keep`. */
  readonly index_missing: "keep" | "push" | "off";
}

/** `[pull_modes.…]`: one way to find an index. */
export interface PullModeConfig {
  /** Whether it is tried. */
  readonly enable: boolean;
}

/** `[recording]`: starts that are recorded, in `recordings` below the root. */
export interface RecordingConfig {
  /** Of which images, as `[trust]` names repositories. Default: none. A snapshot's label asks for it too. */
  readonly images: readonly string[];
  /** A start is over when it has read nothing for so long, seconds. Default 5. */
  readonly idle_sec: number;
  /** The longest that one is recorded, seconds. Default 60. */
  readonly max_sec: number;
}

/** `[load_order]`: what starts of images read first, as somebody recorded it. */
export interface LoadOrderConfig {
  /** Whether load orders are used. Default: they are, as a hint of what to fetch first. */
  readonly enable: boolean;
  /**
   * Whether start packs are used that an image only has as a referrer: whoever can push to its repository
   * can add one, and its bytes are seen by the image's containers before they can be checked. Default:
   * only those that the image's digest covers.
   */
  readonly unpinned: boolean;
  /** The most compressed bytes that one start may bring ahead. Default 256 MiB. */
  readonly max_bytes: number;
  /**
   * A load order of whose pack a larger part than this was not read is not used again before the next
   * start of the daemon, percent. Default 50; 100: it is always used.
   */
  readonly max_waste_percent: number;
  /** From `host/repository`, with `*` and `**` as in `[trust]`, to the name of the workload. */
  readonly workloads: Readonly<Record<string, string>>;
}

/** `[trust]`: whose word counts for what a layer holds. */
export interface TrustConfig {
  /**
   * Repositories whose referrers may be indexes, as `host/repository`: `*` stands for any part of a name
   * between slashes, `**` for any number of such. Default `**`, where `pull_modes.soci_v1` is on.
   */
  readonly v1: readonly string[];
  /** Repositories whose images may name their indexes. Default `**`. */
  readonly v2: readonly string[];
  /** How long a layer that another image brought may take to be completed and proven, seconds. Default 120. */
  readonly complete_wait_sec: number;
}

/** `[resolver]`: where hosts are reached. */
export interface ResolverConfig {
  /** Folders with `<host>/hosts.toml`, `:` between them. Default: containerd's and Docker's. */
  readonly config_path: string;
  /** After so long a host is logged in at anew, seconds; below 0: never before it refuses. Default 3600. */
  readonly auth_client_ttl_sec: number;
  /** true: repositories of a host share what was found as its login. Default: false. */
  readonly enable_auth_client_sharing: boolean;
  /** By registry host, as images name it. */
  readonly host: Readonly<Record<string, ResolverHostConfig>>;
}

/** `[resolver.host.…]`: one registry host. */
export interface ResolverHostConfig {
  /** Asked in this order, before the host itself. */
  readonly mirrors: readonly MirrorConfig[];
}

/** `[[resolver.host.….mirrors]]`: another place that serves a host's images. */
export interface MirrorConfig {
  /** The mirror's host, with a port where it has one. */
  readonly host: string;
  /** true: plain HTTP is used. */
  readonly insecure: boolean;
  /** How long a request to it may take, seconds; 0: as `[http]` says; below 0: any time. */
  readonly request_timeout_sec: number;
}

/** `[filesystem]`: how layers are shown. */
export interface FilesystemConfig {
  /** `auto` means `erofs` if the kernel supports it. */
  readonly face: "auto" | "fuse" | "erofs";
  /** Whether overlayfs gives the files of all layers inode numbers of one file system. */
  readonly xino: "on" | "off";
}
