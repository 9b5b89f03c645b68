/**
 * What every command that talks to containerd shares: its address, the namespace, and the time limit.
 * @module
 */
import type { Containerd } from "../lib/remote/containerd/mod.ts";
import { isRpcError } from "../lib/remote/containerd_words/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";
import { UsageError } from "./command.ts";
import type { SessionValues } from "./flags.ts";
import { startLogs } from "./logs.ts";
import { StopSignal } from "./stop_signal.ts";
import { parseDuration } from "./table.ts";

const DEFAULT_ADDRESS = "/run/containerd/containerd.sock";

/** For `--help`. */
export const SESSION_HELP =
  `  -a, --address SOCKET    containerd's socket (default ${DEFAULT_ADDRESS};
                          also CONTAINERD_ADDRESS)
  -n, --namespace NAME    containerd's namespace (default "default"; also CONTAINERD_NAMESPACE)
  --timeout DURATION      give up after this time, such as 30s or 5m (default: never)
  --debug                 tell each request on stderr`;

/** One run of a command: its connection to containerd and its time limit. */
export class Session implements AsyncDisposable {
  /** Aborts on Ctrl-C, SIGTERM, and when the time is up. Code that works under a lease then ends it. */
  readonly signal: AbortSignal;
  /** Disposed of with the session, the newest first. */
  protected readonly stack = new AsyncDisposableStack();
  /** Path of containerd's socket. */
  readonly address: string;
  /** containerd's namespace. */
  readonly namespace: string;
  #containerd: Promise<Containerd> | null = null;

  protected constructor(values: SessionValues) {
    this.address = socketPath(
      values.address ?? (Deno.env.get("CONTAINERD_ADDRESS") || DEFAULT_ADDRESS),
    );
    this.namespace = values.namespace ??
      (Deno.env.get("CONTAINERD_NAMESPACE") || "default");
    if (this.namespace === "") {
      throw new UsageError("--namespace: the name is empty");
    }
    this.signal = this.#stopSignal(values.timeout ?? "0");
  }

  /** @throws UsageError */
  static async open(values: SessionValues): Promise<Session> {
    const session = new Session(values);
    await session.startLogs(values);
    return session;
  }

  /** Logs requests on stderr with `--debug`. */
  protected async startLogs({ debug }: SessionValues): Promise<void> {
    if (debug === true) await startLogs("debug", "text");
  }

  #stopSignal(timeout: string): AbortSignal {
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === null) {
      throw new UsageError(
        `--timeout: "${timeout}" is no duration (write 30s or 5m)`,
      );
    }
    const stop = this.stack.use(new StopSignal());
    if (timeoutMs > 0) {
      const timer = setTimeout(
        () => stop.end(new Error(`not done within ${timeout}`)),
        timeoutMs,
      );
      this.stack.defer(() => clearTimeout(timer));
    }
    return stop.signal;
  }

  /** containerd, connected at the first call. @throws ContainerdError */
  containerd(): Promise<Containerd> {
    this.#containerd ??= this.#connect();
    return this.#containerd;
  }

  /** Loads gRPC, which most commands can do without and which takes longer to load than all the rest. */
  async #connect(): Promise<Containerd> {
    const { connectContainerd } = await import(
      "../lib/remote/containerd/mod.ts"
    );
    const { address, namespace, signal } = this;
    return this.stack.use(
      await connectContainerd(address, { namespace, signal }),
    );
  }

  /** containerd, or null if none answers: for commands that only take names from it. */
  async containerdIfThere(): Promise<Containerd | null> {
    if (this.#containerd === null && !await this.#isListenedTo()) return null;
    try {
      return await this.containerd();
    } catch (error) {
      if (!isRpcError(error)) throw error;
      this.#containerd = null;
      logger("containerd").debug("not there", { error });
      return null;
    }
  }

  /** Whether anybody listens on containerd's socket: found out before gRPC is loaded. */
  async #isListenedTo(): Promise<boolean> {
    try {
      using _ = await Deno.connect({ transport: "unix", path: this.address });
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      logger("containerd").debug("not there", { error });
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync();
  }
}

/** `/path` and `unix:///path` mean the same. @throws UsageError */
function socketPath(address: string): string {
  const path = address.replace(/^unix:\/\//, "");
  if (path === "" || /^[a-z]+:\/\//.test(path)) {
    throw new UsageError(`--address ${address}: say a path or unix://PATH`);
  }
  return path;
}
