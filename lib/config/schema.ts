import * as v from "valibot";
import type { Config } from "./config.ts";

/** Where the daemon looks when no `--config` is given; a missing file there is fine. */
export const DEFAULT_CONFIG_PATH = "/etc/soci-snapshotter-grpc/config.toml";

/** The configuration cannot be used: the message names the file, the key and what is wrong. */
export class ConfigError extends Error {
  static {
    this.prototype.name = "ConfigError";
  }
}

/** Zero (and absence) mean the default, as in the existing daemon. */
const countOr = (fallback: number) =>
  v.optional(
    v.pipe(v.number(), v.integer(), v.transform((n) => n === 0 ? fallback : n)),
    fallback,
  );
/** A size in bytes; zero means the default. */
const sizeOr = (fallback: number) =>
  v.optional(
    v.pipe(
      v.number(),
      v.safeInteger(),
      v.minValue(0),
      v.transform((n) => n === 0 ? fallback : n),
    ),
    fallback,
  );
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 2 ** 10,
  mb: 2 ** 20,
  gb: 2 ** 30,
};
/** The bytes that a text like `8mb` or `1.5 GB` names; null where it names none. Empty: 0. */
function bytesOf(size: string): number | null {
  if (size.trim() === "") return 0;
  const [, number, unit = "b"] =
    /^\s*(\d+(?:\.\d+)?)\s*([kmg]?b)?\s*$/i.exec(size) ?? [];
  if (number === undefined) return null;
  return Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? 1));
}
/** The bytes of a size in the configuration, as `8mb`; 0 where it is empty. */
export function sizeBytes(size: string): number {
  return bytesOf(size) ?? 0;
}
/** Such a text. */
const sizeText = (fallback = "") =>
  v.optional(
    v.pipe(
      v.string(),
      v.check((text) => bytesOf(text) !== null, "a size, as `8mb`"),
    ),
    fallback,
  );
/** A number of things or bytes, not negative. */
const count = (fallback: number) =>
  v.optional(
    v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
    fallback,
  );
const flag = (fallback: boolean) => v.optional(v.boolean(), fallback);
const text = (fallback = "") => v.optional(v.string(), fallback);
/** Empty means the default. */
const textOr = (fallback: string) =>
  v.optional(v.pipe(v.string(), v.transform((s) => s || fallback)), fallback);
const oneOf = <const T extends readonly string[]>(
  words: T,
  fallback: T[number],
) =>
  v.optional(
    v.pipe(
      v.string(),
      v.transform((s) => s === "" ? fallback : s),
      v.picklist(words),
    ),
    fallback,
  );

/** What the existing daemon refuses in a program's path. */
const SHELL_CHARACTERS = /[#%{}\\|;&$<>]/;
/** A program with its arguments; whether it is there is seen at the start. */
const program = () =>
  v.optional(v.object({
    path: v.pipe(
      v.string(),
      v.check(
        (path) => path.startsWith("/") && !SHELL_CHARACTERS.test(path),
        "an absolute path without # % { } \\ | ; & $ < >",
      ),
    ),
    args: v.optional(v.array(v.string()), []),
  }));

const mirror = v.object({
  host: v.string(),
  insecure: flag(false),
  request_timeout_sec: countOr(0),
});

const fields = v.object({
  http_cache_type: text(),
  filesystem_cache_type: text(),
  resolve_result_entry: countOr(30),
  debug: flag(false),
  disable_verification: flag(false),
  max_concurrency: countOr(100),
  no_prometheus: flag(false),
  mount_timeout_sec: countOr(30),
  fuse_metrics_emit_wait_duration_sec: countOr(60),
  metrics_address: text(),
  metrics_network: oneOf(["tcp", "unix"], "tcp"),
  debug_address: text(),
  metadata_store: oneOf(["db", "db-multi"], "db"),
  metadata_db_no_sync: flag(false),
  metadata_insertion_chunk_size: countOr(5000),
  skip_check_snapshotter_supported: flag(false),
  http: v.optional(
    v.object({
      dialtimeoutmsec: countOr(3000),
      responseheadertimeoutmsec: countOr(3000),
      requesttimeoutmsec: countOr(300_000),
      maxretries: countOr(8),
      minwaitmsec: countOr(30),
      maxwaitmsec: countOr(300_000),
    }),
    {},
  ),
  blob: v.optional(
    v.object({
      valid_interval: countOr(60),
      check_always: flag(false),
      fetching_timeout_sec: countOr(300),
      max_read_wait_sec: countOr(30),
      force_single_range_mode: flag(false),
      // 0: as [http] says.
      max_retries: count(0),
      min_wait_msec: count(0),
      max_wait_msec: count(0),
      max_span_verification_retries: v.optional(
        v.pipe(v.number(), v.integer(), v.transform((n) => n < 0 ? 3 : n)),
        3,
      ),
    }),
    {},
  ),
  directory_cache: v.optional(
    v.object({
      max_lru_cache_entry: countOr(10),
      max_cache_fds: countOr(10),
      sync_add: flag(false),
      direct: flag(true),
    }),
    {},
  ),
  fuse: v.optional(
    v.object({
      attr_timeout: countOr(1),
      entry_timeout: countOr(1),
      negative_timeout: countOr(1),
      log_fuse_operations: flag(false),
    }),
    {},
  ),
  background_fetch: v.optional(
    v.object({
      disable: flag(false),
      silence_period_msec: countOr(30_000),
      // 0: no pause. The existing daemon's half a second would be a few MB/s.
      fetch_period_msec: count(0),
      max_queue_size: countOr(300),
      drop_policy: oneOf(["newest", "oldest"], "newest"),
      emit_metric_period_sec: countOr(10),
      // Ours. Compressed bytes a second of all layers together; 0: as much as is to spare.
      max_bytes_per_sec: count(0),
    }),
    {},
  ),
  // Not in the existing daemon, whose caches have no bound.
  cache: v.optional(
    v.object({
      // Uncompressed bytes of all layers together; 0: everything is kept.
      max_bytes: count(0),
      keep_removed: flag(false),
    }),
    {},
  ),
  // Ours: what opening layers may take.
  opening: v.optional(
    v.object({ max_memory_bytes: sizeOr(2 ** 30) }),
    {},
  ),
  // Ours: what starts read first.
  load_order: v.optional(
    v.object({
      enable: flag(true),
      unpinned: flag(false),
      max_bytes: sizeOr(256 * 2 ** 20),
      max_waste_percent: v.optional(
        v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(100)),
        50,
      ),
      // From patterns of `host/repository`, as in `trust`, to names of workloads.
      workloads: v.optional(v.record(v.string(), v.string()), {}),
    }),
    {},
  ),
  content_store: v.optional(
    v.object({
      type: oneOf(["soci", "containerd"], "soci"),
      containerd_address: textOr("/run/containerd/containerd.sock"),
      namespace: text(),
    }),
    {},
  ),
  prefetch: v.optional(
    v.object({ enable: flag(false), max_concurrency: countOr(0) }),
    {},
  ),
  pull_modes: v.optional(
    v.object({
      soci_v1: v.optional(v.object({ enable: flag(false) }), {}),
      soci_v2: v.optional(v.object({ enable: flag(true) }), {}),
      parallel_pull_unpack: v.optional(
        v.object({
          enable: flag(false),
          experimental_parallel_pull_as_fallback: flag(false),
          max_concurrent_downloads: countOr(-1),
          max_concurrent_downloads_per_image: countOr(3),
          concurrent_download_chunk_size: sizeText(),
          max_concurrent_unpacks: countOr(-1),
          max_concurrent_unpacks_per_image: countOr(1),
          discard_unpacked_layers: flag(false),
          decompress_streams: v.optional(
            v.object({ gzip: program(), zstd: program() }),
            {},
          ),
        }),
        {},
      ),
    }),
    {},
  ),
  // Ours: images that are taken whole.
  eager: v.optional(
    v.object({
      // `host/repository`; `*` stands for one part, `**` for any number.
      unindexed: v.optional(v.array(v.string()), []),
      images: v.optional(v.array(v.string()), []),
      index_missing: oneOf(["keep", "push", "off"], "keep"),
      // From patterns of `host/repository` to how such images are taken.
      policies: v.optional(
        v.record(
          v.string(),
          v.picklist(["lazy", "complete", "eager", "auto"]),
        ),
        {},
      ),
      labels: v.optional(v.array(v.string()), []),
      small_images: sizeText(),
    }),
    {},
  ),
  // Ours: starts that are recorded.
  recording: v.optional(
    v.object({
      // Images, `host/repository`; `*` stands for one part, `**` for any number.
      images: v.optional(v.array(v.string()), []),
      idle_sec: countOr(5),
      max_sec: countOr(60),
    }),
    {},
  ),
  // Ours: whose word counts for what a layer holds.
  trust: v.optional(
    v.object({
      // Repositories that may bring indexes, `host/repository`; `*` stands for one part, `**` for any number.
      v1: v.optional(v.array(v.string()), ["**"]),
      v2: v.optional(v.array(v.string()), ["**"]),
      complete_wait_sec: countOr(120),
    }),
    {},
  ),
  kubeconfig_keychain: v.optional(
    v.object({ enable_keychain: flag(false), kubeconfig_path: text() }),
    {},
  ),
  // Ours: the kubelet's own flags.
  credential_provider: v.optional(
    v.object({ config_path: text(), bin_dir: text() }),
    {},
  ),
  cri_keychain: v.optional(
    v.object({
      enable_keychain: flag(false),
      image_service_path: textOr("/run/containerd/containerd.sock"),
    }),
    {},
  ),
  resolver: v.optional(
    v.object({
      // As containerd's key of the registry.
      config_path: textOr("/etc/containerd/certs.d:/etc/docker/certs.d"),
      auth_client_ttl_sec: countOr(3600),
      enable_auth_client_sharing: flag(false),
      host: v.optional(
        v.record(
          v.string(),
          v.object({ mirrors: v.optional(v.array(mirror), []) }),
        ),
        {},
      ),
    }),
    {},
  ),
  // Ours: which hosts are asked at all.
  network: v.optional(
    v.object({
      hosts: v.optional(
        v.array(v.pipe(
          v.string(),
          v.check(
            (host) => /^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host),
            "no host, as `registry.example` or `registry.example:5000`",
          ),
        )),
        [],
      ),
    }),
    {},
  ),
  /**
   * Ours alone: how layers are shown, by our own FUSE tree or by EROFS where the kernel can; whether
   * overlayfs gives all files inode numbers of one file system.
   */
  filesystem: v.optional(
    v.object({
      face: oneOf(["auto", "fuse", "erofs"], "auto"),
      xino: oneOf(["on", "off"], "on"),
    }),
    {},
  ),
  snapshotter: v.optional(
    v.object({
      min_layer_size: count(0),
      allow_invalid_mounts_on_restart: flag(false),
    }),
    {},
  ),
});

/** The schema; keys are lower-cased before it is applied, as the existing daemon matches them. */
export const configSchema = v.pipe(
  fields,
  v.transform(({ blob, ...rest }) => ({
    ...rest,
    blob: {
      ...blob,
      max_retries: blob.max_retries || rest.http.maxretries,
      min_wait_msec: blob.min_wait_msec || rest.http.minwaitmsec,
      max_wait_msec: blob.max_wait_msec || rest.http.maxwaitmsec,
    },
  })),
);

/** What an empty file gives. */
export function defaultConfig(): Config {
  return v.parse(configSchema, {});
}
