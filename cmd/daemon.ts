/**
 * The daemon behind `soci-deno serve`: how its parts are wired, in which order they start, and how they
 * end or pass to a successor.
 * @module
 */
import type { Config } from "../lib/config/mod.ts";
import {
  askTakeover,
  ControlServer,
  MountKeeper,
  type Predecessor,
  type ServiceManager,
  TakeoverError,
} from "../lib/host/handover/mod.ts";
import { ensurePrivateFolder, putOddAside } from "../lib/host/files/mod.ts";
import { ContainerdCatalog } from "../lib/images/catalog/mod.ts";
import type { CriCredentials } from "../lib/images/cri/mod.ts";
import {
  ConnectionChecks,
  type Decompressors,
  ImageLayerProvider,
  ImageService,
} from "../lib/images/lazy/mod.ts";
import { isNamed } from "../lib/images/policy/mod.ts";
import {
  assertLayersUnderstood,
  LayerStore,
  rehearse,
} from "../lib/layers/serving/mod.ts";
import { DiskReserve, isLockFree } from "../lib/layers/store/mod.ts";
import type { FaceWish } from "../lib/layers/faces/mod.ts";
import { MOUNT_NAMES, type ServedMount } from "../lib/layers/fs/mod.ts";
import { Activity, keepLargeBuffersApart } from "../lib/host/memory/mod.ts";
import {
  parseReference,
  type RegistryClient,
} from "../lib/remote/registry/mod.ts";
import {
  overlayOptionsOfKernel,
  serveSnapshots,
  Snapshotter,
} from "../lib/images/snapshotter/mod.ts";
import { logger, recentLines } from "../lib/telemetry/mod.ts";
import {
  RecordingsFolder,
  recordReads,
  StartRecorder,
} from "../lib/images/order/mod.ts";
import { ContainerStarts } from "./container_starts.ts";
import { criServices } from "./cri_services.ts";
import { type DaemonStatus, daemonStatus } from "./daemon_status.ts";
import { IdleWork } from "./idle_work.ts";
import type { LiveConfig } from "./live_config.ts";
import { liveOptions } from "./live_options.ts";
import { BY_LIBC } from "./looks.ts";
import { MetricsServer } from "./metrics.ts";
import { OwnSocket } from "./own_socket.ts";
import { mountHelperArguments } from "./program.ts";
import { replayOptions } from "./replay_options.ts";
import { whyNoStart } from "./start_error.ts";
import { wholeOptions } from "./whole.ts";

const log = logger("serve");
/** How long containerd's calls may still run when a successor waits; reads are answered meanwhile. */
const TAKEOVER_GRACE_MS = 30_000;
/** How long a successor that failed may take to be gone, and how often that is looked at, ms. */
const GONE_MS = 10_000;
const GONE_POLL_MS = 100;

/** Files that mark a folder as a root of ours, or of the existing daemon. */
const ROOT_MARKS = [
  ...["slots.db", "snapshotter", "handover.json"],
  ...["artifacts.sqlite", "artifacts.db", "put-aside"],
];

/** Files of ours in the root and in the snapshotter's folder. */
const STATE_FILES = [
  ...["slots.db", "slots.db-wal", "slots.db-shm", "slot-mark"],
  ...["handover.json", "lock", "reserve", "erofs-tested", "node-secret"],
  ...["metadata.db", "metadata.db-wal", "metadata.db-shm", "metadata-mark"]
    .map((name) => `snapshotter/${name}`),
];

/** What the daemon is started with. */
export interface DaemonOptions {
  /** Path of the socket for containerd. */
  readonly address: string;
  /** That socket, when the service manager made it. */
  readonly descriptor?: number | undefined;
  /** State and caches. */
  readonly root: string;
  /** As it was at the start. */
  readonly config: Config;
  /** As it is now. */
  readonly live: LiveConfig;
  /** How layers are shown. */
  readonly face: FaceWish;
  readonly client: RegistryClient;
  /** Programs that decompress layers. */
  readonly decompressors: Decompressors;
  /** Told of each pull of the kubelet, and handed to a successor; null: its image service is not served. */
  readonly pulls: CriCredentials | null;
  readonly manager: ServiceManager;
  /** `takeover`: a daemon that runs on this root gives way first. */
  readonly start: "plain" | "takeover";
}

/** Runs until a signal or a successor ends it. When a successor fails, it goes on. */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { root } = options;
  keepLargeBuffersApart();
  ensurePrivateFolder(root, ROOT_MARKS, BY_LIBC);
  for (const name of STATE_FILES) putOddAside(`${root}/${name}`);
  const signal = untilSignal();
  let start: Start = { kind: options.start };
  for (;;) {
    const mounts = await run(options, start, signal);
    if (mounts === null) return;
    log.error("the successor failed, going on");
    await successorGone(root);
    start = { kind: "again", mounts };
  }
}

/** How a run begins: as it was asked for, or again with the mounts that no successor took. */
type Start =
  | { readonly kind: "plain" | "takeover" }
  | { readonly kind: "again"; readonly mounts: readonly ServedMount[] };

/**
 * Readers of the mounts wait until all layers are restored. containerd's calls wait too: the socket
 * accepts them from the start.
 * @returns null: it is over. Else the mounts, which a successor wanted and did not take.
 */
async function run(
  options: DaemonOptions,
  start: Start,
  signal: Promise<"SIGINT" | "SIGTERM">,
): Promise<readonly ServedMount[] | null> {
  const { address, descriptor, root, config, client, manager } = options;
  const keeper = new MountKeeper({
    statePath: `${root}/handover.json`,
    manager,
  });
  const predecessor = start.kind === "takeover"
    ? await meet(options, keeper)
    : null;
  const calls = new Activity();
  const ready = Promise.withResolvers<Snapshotter>();
  ready.promise.catch(() => {}); // reported to the calls that wait for it

  await using stack = new AsyncDisposableStack();
  stack.use(keeper);
  let status: (() => Promise<DaemonStatus>) | null = null;
  let lacking = () => 0;
  const { metrics_address, metrics_network, no_prometheus } = config;
  const { debug_address } = config;
  if (debug_address !== "") {
    const { serveDebug } = await import("./debug_server.ts");
    stack.use(serveDebug(debug_address, () => status?.() ?? null));
  }
  if (metrics_address !== "" && !no_prometheus) {
    const place = { address: metrics_address, network: metrics_network };
    stack.use(
      new MetricsServer(place, () => status?.() ?? null, () => lacking()),
    );
  }
  const cri = await criServices(options.pulls, config, stack);
  const socket = descriptor !== undefined
    ? { fd: descriptor, outlive() {} } // whoever made it keeps it
    : stack.use(
      await OwnSocket.open({
        ...{ keeper, address },
        whenTaken: predecessor === null && start.kind !== "again"
          ? "fail"
          : "replace",
      }),
    );
  const service = stack.use(
    await serveSnapshots(ready.promise, {
      descriptor: socket.fd,
      services: cri,
      onPrepare: () => calls.begin(),
      onPrepared: (snapshot) => {
        const stat = (key: string) => snapshotter.stat(key);
        recorder?.prepared(snapshot, stat);
        starts?.prepared(snapshot, stat);
      },
    }),
  );
  let snapshotter: Snapshotter;
  let store: LayerStore;
  let control: ControlServer;
  let recorder: StartRecorder | undefined;
  let starts: ContainerStarts | undefined;
  const recordings = new RecordingsFolder(`${root}/recordings`);
  try {
    const handed = await predecessor?.quiet(); // also where nobody wants it
    options.pulls?.takeOver(handed);
    store = stack.use(
      await LayerStore.resume({
        root,
        mountDirectory: `${root}/fs`,
        face: options.face,
        mountHelper: mountHelperArguments(),
        tellsRequests: config.debug || config.fuse.log_fuse_operations,
        keeper,
        mounts: start.kind === "again" ? start.mounts : undefined,
        lostMounts: predecessor?.alive ? "refuse" : "replace",
        readWaitMs: config.blob.max_read_wait_sec * 1000,
        maxCacheBytes: config.cache.max_bytes,
        indexes: config.eager.index_missing === "off" ? "removed" : "kept",
        backgroundBytesPerSecond: config.background_fetch.max_bytes_per_sec,
        backgroundPeriodMs: config.background_fetch.fetch_period_msec,
        digestRetries: config.blob.max_span_verification_retries,
        maxOpeningBytes: config.opening.max_memory_bytes,
        headers: config.disable_verification ? "trusted" : "checked",
      }),
    );
    const { discovery, provider: providing } = liveOptions(options.live);
    const shown = { choice: store.face, wish: options.face };
    const images = stack.use(
      new ImageService(
        client,
        store,
        discovery,
        replayOptions(config.load_order, recordings),
        {
          ...wholeOptions(config, shown),
          decompressors: options.decompressors,
          podPolicy: (image) => options.pulls?.policies.of(image) ?? null,
        },
      ),
    );
    stack.use(images.replays);
    const provider = stack.use(new ImageLayerProvider(images, providing));
    const catalog = stack.use(
      new ContainerdCatalog(config.content_store.containerd_address),
    );
    snapshotter = stack.use(
      await Snapshotter.open({
        root,
        provider,
        overlayOptions: overlayOptionsOfKernel(config.filesystem.xino),
        mountHelper: mountHelperArguments(),
        completeWaitMs: config.trust.complete_wait_sec * 1000,
        catalog,
        spare: new DiskReserve(root),
      }),
    );
    store.sweep(
      snapshotter.lazyDirectories(),
      snapshotter.rows === "lost" ? "kept" : "removed",
    );
    recorder = stack.use(startRecorder(store, recordings, options));
    starts = stack.use(
      followStarts(options, store, stack.use(checksOf(options, store))),
    );
    stack.use(tellBackground(options, provider));
    await predecessor?.end();
    await store.serve();
    new DiskReserve(root).takeBack();
    if (!config.snapshotter.allow_invalid_mounts_on_restart) {
      lacking = () => {
        const served = new Set(store.all().map(({ directory }) => directory));
        return snapshotter.lazyDirectories()
          .filter((directory) => !served.has(directory)).length;
      };
    }
    status = () =>
      daemonStatus(
        { address: options.address, config: options.live.current },
        store,
        images,
        snapshotter,
        provider,
      );
    control = stack.use(ControlServer.listen(`${root}/control.sock`, {
      status,
      progress: () => [...images.progress.all()],
      expect: ({ image, manifest }) => {
        calls.note();
        provider.images.expect(image, manifest);
      },
      record: (layers) => recordReads(store, layers),
      log: recentLines,
    }));
  } catch (error) {
    ready.reject(error);
    throw whyNoStart(error, root);
  } finally {
    predecessor?.[Symbol.dispose]();
  }
  ready.resolve(snapshotter);
  manager.notify(`READY=1\nMAINPID=${Deno.pid}`);
  stack.use(manager.watch());
  log.info("serving", {
    address,
    root,
    pid: Deno.pid,
    layers: store.all().length,
  });

  const idle = stack.use(
    new IdleWork({ store, root, address, calls }),
  );

  const end = await Promise.race([signal, control.asked]);
  // A client of our own socket that is there while that closes has this thread spin for ever, one time in twenty.
  await idle.stopped();
  if (typeof end !== "string") {
    log.info("a successor takes over", { ...store.fetched });
    await service.close({ graceMs: TAKEOVER_GRACE_MS });
    await store.leave();
    await stack.disposeAsync();
    const said = await end.quiet(options.pulls?.handOver());
    return said === "ready" ? null : await store.retire();
  }
  log.info("stopping", { signal: end, ...store.fetched });
  manager.notify("STOPPING=1");
  await service.close();
  if (end === "SIGTERM") socket.outlive();
  // Without a layer the mounts cannot be in use.
  if (end === "SIGTERM" && store.all().length > 0) await store.leave();
  else await snapshotter.unmount();
  return null;
}

/** Looks whether registries give what containers are about to use. */
function checksOf(
  { client, live }: DaemonOptions,
  store: LayerStore,
): ConnectionChecks {
  return new ConnectionChecks(client, store, () => {
    const { check_always, valid_interval } = live.current.blob;
    return check_always ? 0 : valid_interval * 1000;
  });
}

function followStarts(
  { config }: DaemonOptions,
  store: LayerStore,
  checks: ConnectionChecks,
): ContainerStarts {
  const { fuse_metrics_emit_wait_duration_sec: waitSec } = config;
  return new ContainerStarts(store, checks, waitSec * 1000);
}

/** Tells from time to time what the background has to do, while there is something. */
function tellBackground(
  { config: { background_fetch } }: DaemonOptions,
  provider: ImageLayerProvider,
): Disposable {
  const timer = setInterval(() => {
    const { background } = provider;
    if (background.waiting + background.filling === 0) return;
    log.debug("background fetch", background);
  }, background_fetch.emit_metric_period_sec * 1000);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Records starts of the images that the configuration names. */
function startRecorder(
  store: LayerStore,
  folder: RecordingsFolder,
  { config: { recording: { images, idle_sec, max_sec } } }: DaemonOptions,
): StartRecorder {
  return new StartRecorder(store, {
    folder,
    wants: (image) =>
      images.length > 0 && isNamed(parseReference(image), images),
    idleMs: idle_sec * 1000,
    maxMs: max_sec * 1000,
  });
}

/** Waits until a successor that failed has given the root back. */
async function successorGone(root: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < GONE_MS; waitedMs += GONE_POLL_MS) {
    if (isLockFree(`${root}/lock`)) return;
    await new Promise((resolve) => setTimeout(resolve, GONE_POLL_MS));
  }
}

/**
 * Asks the running daemon to give way; null when there is none. Before it disturbs that daemon, it
 * proves that it can start: the state on disk is understood, there is room to open it, the mounts can be
 * taken over, and this process can serve layers.
 */
async function meet(
  { root, face }: DaemonOptions,
  keeper: MountKeeper,
): Promise<Predecessor | null> {
  assertLayersUnderstood(root);
  Snapshotter.assertUnderstood(root);
  const predecessor = await askTakeover(`${root}/control.sock`);
  if (predecessor === null) {
    log.info("no daemon runs there: nothing to take over");
    return null;
  }
  const why = keeper.probe(MOUNT_NAMES) ??
    (new DiskReserve(root).hasRoom
      ? null
      : `the disk of ${root} is full, and nothing is set aside there: a daemon may not start on it`);
  if (why !== null) {
    predecessor[Symbol.dispose]();
    throw new TakeoverError(
      `the mounts of the running daemon (process ${predecessor.pid}) cannot be taken over: ${why}`,
    );
  }
  try {
    await rehearse({ face, mountHelper: mountHelperArguments() });
  } catch (error) {
    predecessor[Symbol.dispose]();
    throw error;
  }
  return predecessor;
}

function untilSignal(): Promise<"SIGINT" | "SIGTERM"> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => resolve(signal));
    }
  });
}
