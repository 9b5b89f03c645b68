import {
  CommandError,
  type Containerd,
  type Service,
  startService,
  tryRun,
  unixSocketAnswers,
  unmountAll,
} from "../host/mod.ts";
import type { SociPeer } from "./programs.ts";

/** The existing SOCI daemon and its command line, with their own files. */
export interface PeerDaemon extends AsyncDisposable {
  /** Socket to give to containerd as a proxy snapshotter. */
  readonly address: string;
  readonly folder: string;
  /** Runs `soci` against a containerd. Returns its output. @throws CommandError */
  soci(containerd: Containerd, ...args: string[]): Promise<string>;
  logs(): string;
  /** Ends the process; its files stay. */
  stop(): Promise<void>;
  /** Starts it again on its files. */
  start(): Promise<void>;
  /** Ends the process and removes its files. */
  close(): Promise<void>;
}

/** The command line has no option for this path, so each daemon gets its own by a bind mount. */
const CLI_ROOT = "/var/lib/soci-snapshotter-grpc";

/**
 * Starts the daemon. Start containerd after it, and close containerd before it. The daemon looks
 * for indexes over HTTPS only, but its command line and `ctr` use plain HTTP for 127.0.0.1. So give
 * the registry a name (`nameLoopback`) and a certificate for it, and pass the authority as
 * `caFile`.
 */
export async function startSociPeer(
  peer: SociPeer,
  options: {
    /** Text of its config.toml. */
    config?: string;
    /** PEM file with the authorities to trust in place of the system's (Go reads SSL_CERT_FILE). */
    caFile?: string;
  } = {},
): Promise<PeerDaemon> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-peer-" });
  const address = `${folder}/soci.sock`;
  await Deno.writeTextFile(`${folder}/config.toml`, options.config ?? "");
  await Deno.mkdir(`${folder}/cli`);
  await Deno.mkdir(CLI_ROOT, { recursive: true });
  const env: Record<string, string> = options.caFile === undefined
    ? {}
    : { SSL_CERT_FILE: options.caFile };
  const removeFiles = async () => {
    await unmountAll(folder);
    await Deno.remove(folder, { recursive: true });
  };
  let service: Service;
  const start = () =>
    startService({
      program: peer.grpc,
      args: [
        ...["--address", address, "--root", `${folder}/root`],
        ...["--config", `${folder}/config.toml`, "--log-level", "debug"],
      ],
      logFile: `${folder}/log`,
      env,
      ready: () => unixSocketAnswers(address),
    });
  try {
    service = await start();
  } catch (error) {
    await removeFiles();
    throw error;
  }
  const close = async () => {
    await service.close();
    await removeFiles();
  };
  return {
    address,
    folder,
    async soci(containerd, ...args) {
      const script = 'mount --bind "$1" "$2"; shift 2; exec "$@"';
      const result = await tryRun("unshare", [
        ...["--mount", "sh", "-ec", script, "sh", `${folder}/cli`, CLI_ROOT],
        ...[peer.soci, "--address", containerd.address, ...args],
      ], { timeoutMs: 120_000, env });
      if (result.code !== 0) {
        throw new CommandError(`soci ${args.join(" ")}`, result);
      }
      return result.stdout + result.stderr;
    },
    logs: () => service.logs(),
    stop: () => service.close(),
    async start() {
      service = await start();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
