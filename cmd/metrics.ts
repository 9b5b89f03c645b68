/**
 * What the daemon tells Prometheus, and whether it is alive and ready. Nothing is counted here: each scrape asks
 * for the status, as `soci-deno status` does.
 * @module
 */
import { ConfigError } from "../lib/config/mod.ts";
import { eventCounts, logger } from "../lib/telemetry/mod.ts";
import type { DaemonStatus } from "./daemon_status.ts";

const log = logger("metrics");
/** Layers and images that get time series of their own; the sums count all. */
const MAX_SERIES = 256;
/** A predecessor may hold the address until it is gone. */
const RETRY_MS = 1000;

/** Where metrics are served. */
export interface MetricsPlace {
  /** `127.0.0.1:9090`, `:9090` for all addresses, or a socket's path. */
  readonly address: string;
  readonly network: "tcp" | "unix";
}

/** What a listener on `place` is told. @throws ConfigError */
function listenOptions(
  { address, network }: MetricsPlace,
): Deno.ServeTcpOptions | Deno.ServeUnixOptions {
  if (network === "unix") return { path: address };
  const [, host = "", port] = address.match(/^(.*):(\d{1,5})$/) ?? [];
  if (port === undefined || Number(port) > 65535) {
    throw new ConfigError(
      `metrics_address: expected HOST:PORT, but it is "${address}"`,
    );
  }
  const hostname = host.replace(/^\[(.*)\]$/, "$1") || "0.0.0.0";
  return { hostname, port: Number(port) };
}

/**
 * Serves `/metrics`, `/healthz` (the process answers) and `/readyz` (containerd is served). An address that is
 * taken is tried again and again: metrics never stop a daemon.
 */
export class MetricsServer implements AsyncDisposable {
  readonly #options: Deno.ServeTcpOptions | Deno.ServeUnixOptions;
  readonly #place: MetricsPlace;
  readonly #status: () => Promise<DaemonStatus> | null;
  readonly #lacking: () => number;
  #server: Deno.HttpServer | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #told = false;

  /**
   * Begins to listen.
   * @param status null: the daemon is not ready yet.
   * @param lacking layers that should be served and are not.
   * @throws ConfigError
   */
  constructor(
    place: MetricsPlace,
    status: () => Promise<DaemonStatus> | null,
    lacking: () => number = () => 0,
  ) {
    this.#options = listenOptions(place);
    this.#place = place;
    this.#status = status;
    this.#lacking = lacking;
    this.#listen();
  }

  #listen(): void {
    const { address, network } = this.#place;
    const onListen = () => log.info("metrics are served", { address });
    const onError = (error: unknown) => {
      log.warn("metrics could not be told", { error });
      return new Response("the status cannot be had\n", { status: 500 });
    };
    try {
      if (network === "unix") removeSocket(address);
      this.#server = Deno.serve(
        { ...this.#options, onListen, onError } as Deno.ServeTcpOptions,
        (request) => this.#answer(new URL(request.url).pathname),
      );
    } catch (error) {
      if (!this.#told) {
        this.#told = true;
        log.warn("metrics cannot be served yet, it is tried again", {
          address,
          error,
        });
      }
      this.#timer = setTimeout(() => this.#listen(), RETRY_MS);
    }
  }

  async #answer(path: string): Promise<Response> {
    if (path === "/healthz") return new Response("ok\n");
    const status = this.#status();
    if (path === "/readyz") {
      if (status === null) return new Response("starting\n", { status: 503 });
      const lacking = this.#lacking();
      return lacking === 0 ? new Response("ok\n") : new Response(
        `${lacking} layers of earlier pulls cannot be served now\n`,
        { status: 503 },
      );
    }
    if (path !== "/metrics") return new Response(null, { status: 404 });
    if (status === null) return new Response("starting\n", { status: 503 });
    const { text, type } = await exposition(await status);
    return new Response(text, { headers: { "content-type": type } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#server?.shutdown();
  }
}

/** Takes a socket away that a process has left; anything else stays, and listening fails. */
function removeSocket(path: string): void {
  try {
    if (Deno.lstatSync(path).isSocket) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Labels and value of one time series. */
type Series = readonly [labels: Record<string, string>, value: number];

/** A metric and its time series. */
interface Family {
  readonly name: string;
  readonly kind: "gauge" | "counter";
  readonly help: string;
  readonly series: readonly Series[];
}

/** All metrics. Those with the existing daemon's names mean what they mean there. */
function families(status: DaemonStatus): readonly Family[] {
  const { cache, fetched, layers, packs, orders } = status;
  const one = (value: number): readonly Series[] => [[{}, value]];
  const gauge = (name: string, help: string, series: readonly Series[]) =>
    ({ name, kind: "gauge", help, series }) as const;
  const counter = (name: string, help: string, series: readonly Series[]) =>
    ({ name, kind: "counter", help, series }) as const;
  const shown = layers.slice(0, MAX_SERIES).map((layer) => ({
    labels: { digest: layer.digest, mountpoint: layer.directory },
    layer,
  }));
  const sum = (of: (layer: DaemonStatus["layers"][number]) => number) =>
    layers.reduce((all, layer) => all + of(layer), 0);
  const hosts = (status.hosts ?? []).slice(0, MAX_SERIES);
  const ofHosts = (of: (host: typeof hosts[number]) => number) =>
    hosts.map((host): Series => [{ host: host.host }, of(host)]);
  const images = orders.slice(0, MAX_SERIES);
  const ofOrder = (bytes: (order: typeof images[number]) => number) =>
    images.map((order): Series => [
      { image: order.image, workload: order.workload },
      bytes(order),
    ]);
  return [
    gauge("soci_deno_info", "The program.", [[{ version: status.version }, 1]]),
    gauge(
      "soci_deno_up_seconds",
      "Time since the process was started.",
      one(status.upSeconds),
    ),
    gauge(
      "soci_deno_resident_bytes",
      "Memory of the process.",
      one(status.residentBytes),
    ),
    gauge(
      "soci_deno_layers",
      "Layers that are served.",
      one(layers.length),
    ),
    gauge(
      "soci_deno_layers_data_bytes",
      "Bytes of the tars of the layers that are served.",
      one(sum((layer) => layer.dataBytes)),
    ),
    gauge(
      "soci_deno_layers_cached_bytes",
      "Of those the bytes that are here.",
      one(sum((layer) => layer.cachedBytes)),
    ),
    gauge(
      "soci_fs_layer_size_bytes",
      `Bytes of a layer's blob; of ${MAX_SERIES} layers at the most.`,
      shown.map(({ labels, layer }) => [labels, layer.sizeBytes]),
    ),
    gauge(
      "soci_fs_layer_fetched_size_bytes",
      `Of these the bytes that are here; of ${MAX_SERIES} layers at the most.`,
      shown.map(({ labels, layer }) => [labels, layer.fetchedBytes]),
    ),
    gauge(
      "soci_deno_layer_cached_ratio",
      `Part of a layer's tar that is here; of ${MAX_SERIES} layers at the most.`,
      shown.map(({ labels, layer }) => [
        labels,
        layer.dataBytes === 0 ? 1 : layer.cachedBytes / layer.dataBytes,
      ]),
    ),
    gauge("soci_deno_cache_bytes", "Bytes of all caches.", one(cache.bytes)),
    gauge(
      "soci_deno_cache_max_bytes",
      "The budget of all caches; 0: there is none.",
      one(cache.maxBytes ?? 0),
    ),
    counter(
      "soci_deno_cache_evicted_bytes_total",
      "Bytes that had to make room.",
      one(cache.evictedBytes),
    ),
    gauge(
      "soci_deno_cache_broken",
      "1: the disk of the cache failed, and layers are read without it.",
      one(cache.broken === null ? 0 : 1),
    ),
    counter(
      "soci_deno_fetched_bytes_total",
      "Compressed bytes from registries: for readers that wait, ahead of readers, in the background.",
      [
        [{ for: "reader" }, fetched.demandBytes],
        [{ for: "ahead" }, fetched.prefetchBytes],
        [{ for: "background" }, fetched.backgroundBytes],
      ],
    ),
    counter(
      "soci_deno_requests_total",
      "Requests for ranges of layers.",
      one(fetched.requests),
    ),
    gauge(
      "soci_deno_unread_ahead_bytes",
      "Compressed bytes that came ahead of readers and were not read yet.",
      one(fetched.unreadAheadBytes),
    ),
    counter(
      "soci_deno_reader_waits_total",
      "Reads that waited for a registry.",
      one(fetched.waits),
    ),
    counter(
      "soci_deno_reader_waited_seconds_total",
      "How long all of them waited.",
      one(fetched.waitedMs / 1000),
    ),
    gauge(
      "soci_deno_host_held_bytes",
      "Compressed bytes of a host that are in flight or wait to be inflated.",
      ofHosts(({ heldBytes }) => heldBytes),
    ),
    gauge(
      "soci_deno_host_share_bytes",
      "How many these may be, beside what the other hosts have.",
      ofHosts(({ shareBytes }) => shareBytes),
    ),
    gauge(
      "soci_deno_host_requests",
      "Range requests to a host that run.",
      ofHosts(({ requests }) => requests),
    ),
    gauge(
      "soci_deno_host_waiting_spans",
      "Spans that wait for their turn at a host.",
      ofHosts(({ waitingSpans }) => waitingSpans),
    ),
    gauge(
      "soci_deno_host_slow_repositories",
      "Repositories of a host that hang or trickle, each with a small budget of its own.",
      ofHosts(({ slowRepositories }) => slowRepositories),
    ),
    gauge(
      "soci_deno_pack_bytes",
      "Bytes that start packs brought for the layers that are served: all, and those that were read.",
      [
        [{ kind: "brought" }, packs.arrivedBytes],
        [{ kind: "read" }, packs.readBytes],
      ],
    ),
    gauge(
      "soci_deno_packs_lied",
      "Layers of whose start pack nothing is shown any more, because it held other bytes.",
      one(packs.lied),
    ),
    gauge(
      "soci_deno_order_brought_bytes",
      "Bytes that a load order's pack brought, by image.",
      ofOrder(({ pack }) => pack.broughtBytes),
    ),
    gauge(
      "soci_deno_order_wasted_bytes",
      "Of those the bytes that nobody has read yet.",
      ofOrder(({ pack }) => pack.wastedBytes),
    ),
    counter(
      "soci_deno_not_lazy_total",
      "Layers that were left to containerd, by reason.",
      [...eventCounts("not_lazy")].map(([reason, n]) => [{ reason }, n]),
    ),
    counter(
      "soci_fs_operation_count",
      "What happened, by the existing daemon's types of operations.",
      operations(fetched).map(([type, n]) => [{ operation_type: type }, n]),
    ),
    gauge(
      "soci_fs_image_operation_count_key",
      "Layers that wait to be filled in the background, and those that are, of all images.",
      [[
        { operation_type: "background_fetch_work_queue_size" },
        status.background.waiting + status.background.filling,
      ]],
    ),
    gauge(
      "soci_deno_state_damages",
      "Files of the daemon's state that were found lost or damaged.",
      one(status.damages.length),
    ),
  ];
}

/** Operations that are counted here and mean what they mean there; for all layers together. */
function operations(
  { waits, backgroundSpans }: DaemonStatus["fetched"],
): readonly (readonly [type: string, count: number])[] {
  const failedReads = eventCounts("failed").get("read") ?? 0;
  const background = eventCounts("background");
  return [
    ["fuse_mount_failure_count", eventCounts("not_lazy").get("error") ?? 0],
    ["fuse_file_read_failure_count", failedReads],
    ["fuse_failure_state", Math.min(1, failedReads)],
    ["synchronous_read_remote_registry_fetch_count", waits],
    ["background_span_fetch_count", backgroundSpans],
    ["background_span_fetch_failure_count", background.get("failed") ?? 0],
    ["background_fetch_work_queue_evicted", background.get("dropped") ?? 0],
  ];
}

/** All metrics as Prometheus reads them. */
async function exposition(
  status: DaemonStatus,
): Promise<{ text: string; type: string }> {
  // Loaded late: most daemons have no endpoint.
  const { Counter, Gauge, Registry } = await import("./prometheus.ts");
  const registry = new Registry();
  for (const { name, kind, help, series } of families(status)) {
    const labelNames = Object.keys(series[0]?.[0] ?? {});
    const options = { name, help, labelNames, registers: [registry] };
    if (kind === "gauge") {
      const metric = new Gauge(options);
      for (const [labels, value] of series) metric.set(labels, value);
    } else {
      const metric = new Counter(options);
      for (const [labels, value] of series) metric.inc(labels, value);
    }
  }
  return { text: await registry.metrics(), type: registry.contentType };
}
