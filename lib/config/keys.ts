/** What each key of `config.toml` means, and which have no effect here. @module */

/** What is said of a key. */
export interface KeyText {
  /** What it does, with its unit. One line. */
  readonly what: string;
  /** Why it has no effect; absent where it has one. */
  readonly unused?: string;
}

const NO_SUCH_STORE =
  "layers' trees lie in files of their own, there is no such database";
const KERNEL_KEEPS = "the kernel keeps what it was told: a layer never changes";

/**
 * Every key, by its dotted name in lower case; `*` stands for a name that the user chooses. In the order of
 * the reference page.
 */
export const KEYS: Readonly<Record<string, KeyText>> = {
  disable_verification: {
    what:
      "true: tar headers in spans are not compared with the layer's tree. Digests are always checked",
  },
  mount_timeout_sec: {
    what:
      "how long an image's layers may take until they can be mounted, seconds; then containerd pulls it",
  },
  max_concurrency: {
    what:
      "layers that are opened at a time, of all images together; below 0: any number",
  },
  debug: {
    what:
      "true: the log tells of every request of the kernel, as fuse.log_fuse_operations",
  },
  http_cache_type: {
    what: "where bytes of the registry are cached",
    unused: "there is one cache, below the root",
  },
  filesystem_cache_type: {
    what: "where spans are cached",
    unused: "there is one cache, below the root",
  },
  resolve_result_entry: {
    what: "layers that stay open",
    unused: "layers are open as long as a snapshot needs them",
  },
  no_prometheus: { what: "true: no metrics, whatever metrics_address says" },
  metrics_address: {
    what:
      "where `/metrics`, `/healthz` and `/readyz` are served: HOST:PORT, or a socket's path",
  },
  metrics_network: { what: "the kind of metrics_address: tcp or unix" },
  fuse_metrics_emit_wait_duration_sec: {
    what:
      "so long after a container's start the log tells what was read of its image, seconds",
  },
  debug_address: {
    what:
      "where `/debug/memory` and `/debug/status` are served: HOST:PORT (without a host: this machine alone), or a path",
  },
  metadata_store: { what: "kind of the metadata store", unused: NO_SUCH_STORE },
  metadata_db_no_sync: {
    what: "true: the metadata store is not synced",
    unused: NO_SUCH_STORE,
  },
  metadata_insertion_chunk_size: {
    what: "files that are written to the metadata store at a time",
    unused: NO_SUCH_STORE,
  },
  skip_check_snapshotter_supported: {
    what: "true: it is not checked at the start whether overlayfs can be used",
    unused: "the first mount tells",
  },

  "http.dialtimeoutmsec": {
    what: "how long a host may take to accept a connection, ms",
  },
  "http.responseheadertimeoutmsec": {
    what: "how long a registry may take to begin its answer, ms",
  },
  "http.requesttimeoutmsec": {
    what:
      "how long a request may take with its answer, ms; the stream of a whole blob ends when nothing more of it comes",
  },
  "http.maxretries": { what: "tries of a request after the first one" },
  "http.minwaitmsec": {
    what: "the first wait before another try, ms; it doubles each time",
  },
  "http.maxwaitmsec": { what: "the longest wait between two tries, ms" },

  "blob.max_read_wait_sec": {
    what: "a read whose bytes do not arrive fails after so long, seconds",
  },
  "blob.max_retries": {
    what: "tries after the first one; 0: as http.MaxRetries",
  },
  "blob.min_wait_msec": {
    what: "the first wait before another try, ms; 0: as http.MinWaitMsec",
  },
  "blob.max_wait_msec": {
    what: "the longest wait between two tries, ms; 0: as http.MaxWaitMsec",
  },
  "blob.valid_interval": {
    what:
      "when a container starts, a layer's registry is asked whether it still gives it, if that was so many seconds ago; the log tells",
  },
  "blob.check_always": {
    what: "true: it is asked with each container",
  },
  "blob.fetching_timeout_sec": {
    what: "how long one range of a layer may take with all its tries, seconds",
  },
  "blob.force_single_range_mode": {
    what:
      "true: a request never asks for several ranges, which is so in any case",
  },
  "blob.max_span_verification_retries": {
    what:
      "how often a span is fetched again when its digest is wrong, beyond once from each source; below 0: 3",
  },

  "directory_cache.max_lru_cache_entry": {
    what: "cached buffers in memory",
    unused: "the kernel's page cache has them",
  },
  "directory_cache.max_cache_fds": {
    what: "cache files that are kept open",
    unused: "a layer has one file",
  },
  "directory_cache.sync_add": {
    what: "true: a span is on disk before it is shown",
    unused: "it always is",
  },
  "directory_cache.direct": {
    what: "true: spans are not held in memory",
    unused: "they never are",
  },

  "fuse.attr_timeout": {
    what: "how long the kernel keeps attributes, seconds",
    unused: KERNEL_KEEPS,
  },
  "fuse.entry_timeout": {
    what: "how long the kernel keeps names, seconds",
    unused: KERNEL_KEEPS,
  },
  "fuse.negative_timeout": {
    what: "how long the kernel keeps that a name does not exist, seconds",
    unused: KERNEL_KEEPS,
  },
  "fuse.log_fuse_operations": {
    what:
      "true: the log tells of every request of the kernel, with paths, which may be confidential",
  },

  "background_fetch.disable": {
    what: "true: only what readers want is fetched",
  },
  "background_fetch.silence_period_msec": {
    what:
      "delay after a layer is first needed until the background fetches it, ms",
  },
  "background_fetch.fetch_period_msec": {
    what: "time between two spans, of all layers together, ms; 0: none",
  },
  "background_fetch.max_queue_size": {
    what: "the most layers that wait to be completed",
  },
  "background_fetch.drop_policy": {
    what: "which layer is dropped when more wait: newest or oldest",
  },
  "background_fetch.emit_metric_period_sec": {
    what:
      "time between two lines of the log (level debug) about what the background has to do, seconds",
  },
  "background_fetch.max_bytes_per_sec": {
    what:
      "compressed bytes a second, of all layers together; 0: as much as is to spare",
  },

  "cache.max_bytes": {
    what: "uncompressed bytes kept of all layers together; 0: all",
  },
  "cache.keep_removed": {
    what:
      "true: layers that no snapshot uses are kept until their room is needed",
  },
  "opening.max_memory_bytes": {
    what:
      "memory that opening layers may take, bytes; a layer that needs more is left to containerd",
  },

  "network.hosts": {
    what:
      "the only hosts that are asked by HTTP, `host` or `host:port`: registries, mirrors, token servers and blob stores; empty: any. Commands read it, too",
  },

  "load_order.enable": { what: "whether load orders are used" },
  "load_order.unpinned": {
    what:
      "true: start packs are used, too, that the image's digest does not cover",
  },
  "load_order.max_bytes": {
    what: "the most compressed bytes that one start may bring ahead",
  },
  "load_order.max_waste_percent": {
    what:
      "a load order of which more was not read is not used again before the next start of the daemon",
  },
  "load_order.workloads.*": {
    what: "from a pattern of `host/repository` to the name of a workload",
  },
  "recording.images": {
    what: "images whose starts are recorded, patterns of `host/repository`",
  },
  "recording.idle_sec": {
    what: "a start is over when it has read nothing for so long, seconds",
  },
  "recording.max_sec": {
    what: "the longest that one start is recorded, seconds",
  },
  "prefetch.enable": {
    what: "true: what an index's prefetch list names is fetched at once",
  },
  "prefetch.max_concurrency": {
    what: "layers that are prefetched at a time; 0: any number",
  },

  "content_store.type": {
    what:
      "where compressed layers are kept that were downloaded whole: containerd, its content store; soci: nowhere, they are of no use any more",
  },
  "content_store.containerd_address": {
    what: "containerd's socket: asked which images share a chain",
  },
  "content_store.namespace": {
    what: "containerd's namespace",
    unused: "each request says its own",
  },

  "pull_modes.soci_v1.enable": {
    what: "whether indexes are used that a registry lists as referrers",
  },
  "pull_modes.soci_v2.enable": {
    what: "whether indexes are used that an image names itself",
  },
  "pull_modes.parallel_pull_unpack.enable": {
    what:
      "true: layers of all images are downloaded whole, side by side, and no index is used",
  },
  "pull_modes.parallel_pull_unpack.experimental_parallel_pull_as_fallback": {
    what: "true: so are those of images without a usable index",
  },
  "pull_modes.parallel_pull_unpack.max_concurrent_downloads": {
    what: "requests at a time; -1: any number, but no more than 24 to a host",
  },
  "pull_modes.parallel_pull_unpack.max_concurrent_downloads_per_image": {
    what: "requests of one image at a time",
  },
  "pull_modes.parallel_pull_unpack.concurrent_download_chunk_size": {
    what:
      "bytes of one request, as `8mb`, and at most 16mb; empty: a layer is one request",
  },
  "pull_modes.parallel_pull_unpack.max_concurrent_unpacks": {
    what: "layers that are inflated at a time; -1: one a core, up to 4",
  },
  "pull_modes.parallel_pull_unpack.max_concurrent_unpacks_per_image": {
    what: "layers of one image that are inflated at a time",
  },
  "pull_modes.parallel_pull_unpack.discard_unpacked_layers": {
    what:
      "true: compressed layers are not kept; false: they go where content_store.type says, once the layer is shown",
  },
  "pull_modes.parallel_pull_unpack.decompress_streams.gzip.path": {
    what:
      "program that decompresses gzip layers that are downloaded whole, from its standard input to its standard output",
  },
  "pull_modes.parallel_pull_unpack.decompress_streams.gzip.args": {
    what: "its arguments",
  },
  "pull_modes.parallel_pull_unpack.decompress_streams.zstd.path": {
    what: "the same for zstd layers",
  },
  "pull_modes.parallel_pull_unpack.decompress_streams.zstd.args": {
    what: "its arguments",
  },

  "eager.unindexed": {
    what:
      "images that are downloaded whole when they have no usable index, patterns of `host/repository`",
  },
  "eager.images": {
    what: "images that are downloaded whole in any case, patterns",
  },
  "eager.policies.*": {
    what:
      "from a pattern of `host/repository` to lazy, complete, eager or auto; the first that fits counts",
  },
  "eager.labels": {
    what:
      "images whose label `soci-deno.policy` is heard, the snapshot's or their configuration's, before any pattern",
  },
  "eager.small_images": {
    what:
      "images of no more compressed bytes are downloaded whole where no label or pattern says otherwise, as `8mb`; empty: none",
  },
  "eager.index_missing": {
    what:
      "the index that an image without one gets when it is taken whole: keep it here, push it to the image's registry as well, or off",
  },

  "trust.v1": {
    what:
      "repositories whose referrers may be indexes, patterns of `host/repository`",
  },
  "trust.v2": {
    what: "repositories whose images may name their indexes, patterns",
  },
  "trust.complete_wait_sec": {
    what:
      "how long a layer that another image brought may take to be proven, seconds",
  },

  "kubeconfig_keychain.enable_keychain": {
    what:
      "true: logins come from Kubernetes' image-pull secrets of all namespaces, which are watched",
  },
  "kubeconfig_keychain.kubeconfig_path": {
    what:
      "the kubeconfig to use; empty: $KUBECONFIG, the pod's own account, or ~/.kube/config",
  },
  "credential_provider.config_path": {
    what:
      "logins come from the kubelet's plugins: its --image-credential-provider-config",
  },
  "credential_provider.bin_dir": {
    what:
      "the folder of those plugins: the kubelet's --image-credential-provider-bin-dir",
  },
  "cri_keychain.enable_keychain": {
    what:
      "true: the CRI image service is served on the same socket, and the kubelet's pulls bring logins",
  },
  "cri_keychain.image_service_path": {
    what: "the image service behind it",
  },

  "resolver.config_path": {
    what:
      "folders with mirrors, certificates and headers of hosts, `<host>/hosts.toml` as for containerd; `:` between them",
  },
  "resolver.auth_client_ttl_sec": {
    what:
      "how long a login is used before it is looked up anew, seconds; below 0: until it is refused",
  },
  "resolver.enable_auth_client_sharing": {
    what: "true: repositories of a host share what was found as its login",
  },
  "resolver.host.*.mirrors.host": {
    what: "a mirror, a host or a URL; asked in order, before the host itself",
  },
  "resolver.host.*.mirrors.insecure": { what: "true: plain HTTP is used" },
  "resolver.host.*.mirrors.request_timeout_sec": {
    what:
      "how long a request to it may take, seconds; 0: as http.RequestTimeoutMsec; below 0: any time",
  },

  "filesystem.face": {
    what: "how layers are shown: auto, fuse or erofs",
  },
  "filesystem.xino": {
    what:
      "on: files of all layers have inode numbers of one file system; or off",
  },

  "snapshotter.min_layer_size": {
    what:
      "layers whose blob is smaller are downloaded whole before they are shown, bytes; 0: none",
  },
  "snapshotter.allow_invalid_mounts_on_restart": {
    what:
      "false: `/readyz` says no as long as layers of earlier pulls cannot be served; true: it says yes. The daemon starts in any case",
  },
};
