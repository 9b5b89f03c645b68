/**
 * `soci-deno serve`: the snapshotter daemon.
 * @module
 */
import { loadConfig } from "../lib/config/mod.ts";
import {
  ImageLayerProvider,
  ImageService,
  LayerStore,
} from "../lib/images/mod.ts";
import { serveSnapshots, Snapshotter } from "../lib/snapshotter/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";
import { type Command, parseCommandLine, UsageError } from "./command.ts";
import { startLogs } from "./logs.ts";
import {
  REGISTRY_HELP,
  REGISTRY_OPTIONS,
  registryClient,
} from "./registry_flags.ts";

const DEFAULT_ADDRESS = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";
const DEFAULT_ROOT = "/var/lib/soci-snapshotter-grpc/";

const HELP = `
Serve containerd's snapshots API on a Unix socket. Layers of images that have a SOCI index are
mounted at once and fetched as they are read; all others are left to containerd.

Usage: soci-deno serve [flags]

Flags:
  --address SOCKET      where to listen (default ${DEFAULT_ADDRESS};
                        also SOCI_SNAPSHOTTER_ADDRESS)
  --root DIR            state and caches (default ${DEFAULT_ROOT};
                        also SOCI_SNAPSHOTTER_ROOT)
  --config FILE         config.toml (also SOCI_SNAPSHOTTER_CONFIG)
  --log-level LEVEL     trace, debug, info, warn, error, fatal, panic (default info;
                        also SOCI_SNAPSHOTTER_LOG_LEVEL)
  --log-format FORMAT   json or text (default json)
${REGISTRY_HELP}

containerd's config.toml:
  [proxy_plugins.soci]
    type = "snapshot"
    address = "${DEFAULT_ADDRESS}"
For Kubernetes also, under [plugins."io.containerd.grpc.v1.cri".containerd]:
    snapshotter = "soci"
    disable_snapshot_annotations = false

SIGINT and SIGTERM end it and unmount all layers.
`;

/** The `serve` subcommand. */
export const serveCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        address: { type: "string" },
        root: { type: "string" },
        config: { type: "string" },
        "log-level": { type: "string" },
        "log-format": { type: "string", default: "json" },
        ...REGISTRY_OPTIONS,
      },
    });
    if (positionals.length > 0) {
      throw new UsageError(`serve takes no argument "${positionals[0]}"`);
    }
    const format = values["log-format"];
    if (format !== "json" && format !== "text") {
      throw new UsageError("--log-format must be json or text");
    }
    await startLogs(
      values["log-level"] ?? Deno.env.get("SOCI_SNAPSHOTTER_LOG_LEVEL") ??
        "info",
      format,
    );
    const log = logger("serve");
    const address = (values.address ??
      Deno.env.get("SOCI_SNAPSHOTTER_ADDRESS") ?? DEFAULT_ADDRESS)
      .replace(/^unix:\/\//, "");
    const root = (values.root ?? Deno.env.get("SOCI_SNAPSHOTTER_ROOT") ??
      DEFAULT_ROOT).replace(/\/+$/, "");
    const { config, unknownKeys } = loadConfig(
      values.config ?? Deno.env.get("SOCI_SNAPSHOTTER_CONFIG"),
    );
    for (const key of unknownKeys) {
      log.warn("unknown configuration key", { key });
    }

    using client = registryClient(values, config);
    await using store = await LayerStore.open({
      root,
      mountDirectory: `${root}/fs`,
    });
    const images = new ImageService(client, store, {
      v1: config.pull_modes.soci_v1.enable,
      v2: config.pull_modes.soci_v2.enable,
    });
    using provider = new ImageLayerProvider(images, {
      enabled: !config.background_fetch.disable,
      delayMs: config.background_fetch.silence_period_msec,
    });
    await using snapshotter = await Snapshotter.open({ root, provider });
    await using service = await serveSnapshots(snapshotter, { address });
    log.info("serving", { address: service.address, root, pid: Deno.pid });
    const signal = await untilSignal();
    log.info("stopping", { signal, ...store.fetched });
    return 0;
  },
};

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => resolve(signal));
    }
  });
}
