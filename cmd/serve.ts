/**
 * `soci-deno serve`: the snapshotter daemon.
 * @module
 */
import { loadConfig } from "../lib/config/mod.ts";
import { assertLinksOfRoot } from "../lib/host/files/mod.ts";
import { ServiceManager } from "../lib/host/handover/mod.ts";
import {
  boundCredentials,
  dockerCredentials,
  firstCredentials,
} from "../lib/remote/registry/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";
import {
  type Command,
  noArgument,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { decompressors } from "./decompressors.ts";
import { parseFace } from "./face_flag.ts";
import { onHangup } from "./hangup.ts";
import { openKeychains } from "./keychains.ts";
import { LiveConfig } from "./live_config.ts";
import { LOGIN_HELP, LOGIN_OPTIONS, Logins } from "./logins.ts";
import { BY_LIBC } from "./looks.ts";
import { startLogs } from "./logs.ts";
import {
  clientWith,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
} from "./registry_flags.ts";
import { daemonRoot, DEFAULT_ROOT } from "./root.ts";

const DEFAULT_ADDRESS = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";

const HELP = `
Serve containerd's snapshots API on a Unix socket. Layers of images that have a SOCI index are
mounted at once and fetched as they are read; all others are left to containerd.

Usage: soci-deno serve [flags]

Flags:
  --address SOCKET      where to listen (default ${DEFAULT_ADDRESS};
                        also SOCI_SNAPSHOTTER_ADDRESS); fd:// takes systemd's socket
  --root DIR            state and caches (default ${DEFAULT_ROOT};
                        also SOCI_SNAPSHOTTER_ROOT)
  --config FILE         config.toml (also SOCI_SNAPSHOTTER_CONFIG)
  --face FACE           show layers by fuse, by erofs (faster; Linux 6.12), or auto, which tries
                        erofs (default: [filesystem] face of the configuration, else auto)
  --log-level LEVEL     trace, debug, info, warn, error, fatal, panic (default info;
                        also SOCI_SNAPSHOTTER_LOG_LEVEL)
  --log-format FORMAT   json or text (default json)
  --takeover            take over from the daemon that runs on this root, which ends
${LOGIN_HELP}
${CONNECTION_HELP}

containerd's config.toml (\`soci-deno install\` writes it; for containerd 2 it is another one):
  version = 2
  [proxy_plugins.soci]
    type = "snapshot"
    address = "${DEFAULT_ADDRESS}"
For Kubernetes also, under [plugins."io.containerd.grpc.v1.cri".containerd]:
    snapshotter = "soci"
    disable_snapshot_annotations = false

Containers do not notice that it ends: SIGTERM, SIGKILL and crashes leave the mounts for the next
run, readers wait until then. SIGINT (or \`soci-deno stop\`) unmounts everything.
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
        face: { type: "string" },
        "log-level": { type: "string" },
        "log-format": { type: "string", default: "json" },
        takeover: { type: "boolean", default: false },
        ...LOGIN_OPTIONS,
        ...CONNECTION_OPTIONS,
      },
    });
    noArgument(positionals, "serve");
    const logins = Logins.read(values);
    const format = values["log-format"];
    if (format !== "json" && format !== "text") {
      throw new UsageError("--log-format must be json or text");
    }
    await startLogs(
      values["log-level"] ?? Deno.env.get("SOCI_SNAPSHOTTER_LOG_LEVEL") ??
        "info",
      format,
    );
    const address = values.address ??
      Deno.env.get("SOCI_SNAPSHOTTER_ADDRESS") ?? DEFAULT_ADDRESS;
    assertLinksOfRoot(
      values.root ??
        (Deno.env.get("SOCI_SNAPSHOTTER_ROOT") || DEFAULT_ROOT),
      BY_LIBC,
    );
    const root = daemonRoot(values.root);
    const file = values.config ?? Deno.env.get("SOCI_SNAPSHOTTER_CONFIG");
    const { config, findings } = loadConfig(file);
    const live = new LiveConfig(config, file);
    onHangup(() => live.reload());
    for (const { kind: _, ...finding } of findings) {
      logger("serve").warn("configuration", finding);
    }
    const programs = decompressors(config);

    using keychains = await openKeychains(() => live.current);
    using client = clientWith(
      firstCredentials([
        boundCredentials(logins.all),
        dockerCredentials(),
        ...keychains.stores,
      ]),
      values,
      () => live.current,
    );
    const manager = ServiceManager.fromEnvironment();
    // Loaded here, so that help and wrong flags do not wait for it.
    const { runDaemon } = await import("./daemon.ts");
    await runDaemon({
      ...listeningPlace(address, manager),
      root,
      config,
      live,
      decompressors: programs,
      pulls: keychains.pulls,
      client,
      manager,
      start: values.takeover ? "takeover" : "plain",
      face: parseFace(values.face) ?? config.filesystem.face,
    });
    return 0;
  },
};

/** `fd://` means the one socket that the service manager opened for us. @throws UsageError */
function listeningPlace(
  address: string,
  manager: ServiceManager,
): { address: string; descriptor?: number } {
  if (address.startsWith("fd://")) {
    const [socket, ...more] = manager.sockets;
    if (socket === undefined || more.length > 0) {
      throw new UsageError(
        `fd:// takes one socket from the service manager, which gave ${
          more.length > 0 ? "more" : "none (start the .socket unit)"
        }`,
      );
    }
    return { address, descriptor: socket };
  }
  const [, protocol, path] = /^(?:([a-z]+):\/\/)?(.*)$/.exec(address) ?? [];
  if (protocol !== undefined && protocol !== "unix") {
    throw new UsageError(
      `--address ${address}: say a path, unix://PATH or fd://`,
    );
  }
  return { address: path ?? address };
}
