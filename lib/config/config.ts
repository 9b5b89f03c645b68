/** The effective configuration, as far as it has an effect. @module */

/**
 * The effective configuration. Keys are lower case, times in the unit their name says. The existing
 * daemon's other keys are known too, are written by `dumpConfig`, and have no effect: they are about
 * caches, stores and metrics that are not here.
 */
export interface Config {
  /** Tar headers inside spans are not compared with the layer's tree. Default: they are. */
  readonly disable_verification: boolean;
  /** An image's layers are to be mountable by then, seconds; else containerd pulls it. Default 30. */
  readonly mount_timeout_sec: number;
  /** How registries are asked. */
  readonly http: HttpConfig;
  /** How a layer's bytes are read. */
  readonly blob: BlobConfig;
  /** What is fetched before anybody asks. */
  readonly background_fetch: BackgroundFetchConfig;
  /** What is kept of layers. */
  readonly cache: CacheConfig;
  /** Which indexes make an image a lazy one. */
  readonly pull_modes: PullModesConfig;
  /** Registry hosts. */
  readonly resolver: ResolverConfig;
  /** How layers are shown. */
  readonly filesystem: FilesystemConfig;
}

/** `[http]`: times and tries of requests to registries. */
export interface HttpConfig {
  /** So long a registry has to begin its answer, ms. Default 3000. */
  readonly responseheadertimeoutmsec: number;
}

/** `[blob]`: reads of layers. */
export interface BlobConfig {
  /** A read of bytes that do not come fails after so long, seconds. Default 30. */
  readonly max_read_wait_sec: number;
  /** Tries after the first one. Default 8. */
  readonly max_retries: number;
  /** The first wait before another try, ms; it doubles each time. Default 30. */
  readonly min_wait_msec: number;
  /** No wait is longer, ms. Default 300 000. */
  readonly max_wait_msec: number;
}

/** `[background_fetch]`: layers are completed while nobody waits. */
export interface BackgroundFetchConfig {
  /** Only what is asked for is fetched. */
  readonly disable: boolean;
  /** A layer is left alone so long after it is first needed, ms. Default 30 000. */
  readonly silence_period_msec: number;
  /** The existing daemon's tick, ms. Without effect here; a value of one's own is told in the log. */
  readonly fetch_period_msec: number;
  /** So many layers wait at most for their completion. Default 300. */
  readonly max_queue_size: number;
  /** Which layer is left out when there are more. */
  readonly drop_policy: "newest" | "oldest";
  /** Compressed bytes a second, of all layers together. Default 0: as much as is to spare. */
  readonly max_bytes_per_sec: number;
}

/** `[cache]`: how much of layers is kept. */
export interface CacheConfig {
  /** Uncompressed bytes of all layers together. Default 0: everything is kept. */
  readonly max_bytes: number;
  /** Layers that no snapshot uses stay until their room is needed. Default: they go at once. */
  readonly keep_removed: boolean;
}

/** `[pull_modes]`: how images are pulled. */
export interface PullModesConfig {
  /** Indexes that a registry lists as referrers of an image. Default: not asked for. */
  readonly soci_v1: PullModeConfig;
  /** Indexes that an image names itself. Default: used. */
  readonly soci_v2: PullModeConfig;
}

/** `[pull_modes.…]`: one way to find an index. */
export interface PullModeConfig {
  /** Whether it is tried. */
  readonly enable: boolean;
}

/** `[resolver]`: where hosts are reached. */
export interface ResolverConfig {
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
  /** Plain HTTP is spoken with it. */
  readonly insecure: boolean;
}

/** `[filesystem]`: how layers are shown. */
export interface FilesystemConfig {
  /** `auto` is `erofs` where this kernel can. */
  readonly face: "auto" | "fuse" | "erofs";
  /** Whether overlayfs gives the files of all layers inode numbers of one file system. */
  readonly xino: "on" | "off";
}
