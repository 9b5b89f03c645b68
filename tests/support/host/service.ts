/** A service did not start, or exited at once. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
}

/** A program that runs in the background until it is closed. */
export interface Service extends AsyncDisposable {
  readonly pid: number;
  /** All it has printed so far. */
  logs(): string;
  /** Sends a signal, for tests of crashes. */
  kill(signal: Deno.Signal): void;
  /** Resolves when the process is gone. */
  readonly ended: Promise<unknown>;
  /**
   * Sends a signal (default: the stop signal). If the process has not exited after 10 s, sends
   * SIGKILL.
   */
  close(signal?: Deno.Signal): Promise<void>;
}

/**
 * Starts a program with its output in `logFile` and waits until `ready` returns true.
 * @throws ServiceError with the end of the log
 */
export async function startService(options: {
  program: string;
  args: readonly string[];
  logFile: string;
  ready: () => Promise<boolean> | boolean;
  env?: Readonly<Record<string, string>>;
  readyTimeoutMs?: number;
  /** The signal that stops it. Default: SIGTERM. */
  stopSignal?: Deno.Signal;
}): Promise<Service> {
  const { program, args, logFile, ready, readyTimeoutMs = 20_000 } = options;
  const { stopSignal = "SIGTERM" } = options;
  // The shell redirects the output to a file and becomes the program (exec). Deno.Command cannot
  // write to a file, and the test would have to keep reading a pipe.
  const child = new Deno.Command("sh", {
    args: ["-c", 'log=$1; shift; exec "$@" >>"$log" 2>&1', "sh", logFile]
      .concat([program, ...args]),
    stdin: "null",
    stdout: "null",
    stderr: "null",
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
  }).spawn();
  let running = true;
  const ended = child.status.then(() => {
    running = false;
  });
  const logs = () => {
    try {
      return Deno.readTextFileSync(logFile);
    } catch {
      return ""; // nothing printed yet, or the directory is gone
    }
  };
  const kill = (signal: Deno.Signal) => {
    if (!running) return;
    try {
      child.kill(signal);
    } catch (error) {
      // It ended, and its status has not been told yet.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  const close = async (signal: Deno.Signal = stopSignal) => {
    kill(signal);
    const timer = setTimeout(() => kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  };

  const deadline = Date.now() + readyTimeoutMs;
  while (!await ready()) {
    if (!running || Date.now() > deadline) {
      await close();
      throw new ServiceError(
        `${program} did not come up:\n${logs().slice(-4000)}`,
      );
    }
    await pause(50);
  }
  return {
    pid: child.pid,
    logs,
    kill,
    ended,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Whether something accepts connections on a unix socket. */
export async function unixSocketAnswers(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false; // not there yet
  }
}

/** A TCP port of the loopback that is free now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
