/** Runs a workload in a container and says when it was ready. @module */
import { type Containerd, pause } from "../../support/host/mod.ts";
import type { Invocation, Ready } from "./workloads.ts";

const TIMEOUT_MS = 300_000;
const PROBE_MS = 4;
const FREE_TIMEOUT_MS = 10_000;

/** A container that became ready. */
export interface Started {
  /** When the command was given, and when its program was ready; as `now()`. */
  readonly from: number;
  readonly at: number;
}

/** Milliseconds since 1970, with fractions. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * Starts a container and waits until its program is ready. It runs on, if it is a server.
 * @throws Error with what it printed, when it ends before
 */
export async function startUntilReady(
  containerd: Containerd,
  options: {
    image: string;
    snapshotter: string;
    invocation: Invocation;
    ready: Ready;
    id: string;
  },
): Promise<Started> {
  const { image, snapshotter, invocation, ready, id } = options;
  if (invocation.port !== null) await untilFree(invocation.port);
  const from = now();
  const child = new Deno.Command("ctr", {
    args: [
      ...["--address", containerd.address, "run", "--net-host"],
      ...["--snapshotter", snapshotter, image, id, ...invocation.args],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = new Output(child);
  const ended = child.status.then(() => "ended" as const);
  const late = new AbortController();
  const becomesReady = ready.kind === "line"
    ? output.says("ready")
    : portAnswers(invocation.port!, ready, late.signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  try {
    const first = await Promise.race([becomesReady, ended]);
    const at = now();
    if (first === "ended" && !output.text.includes("ready")) {
      throw new Error(`${id} ended before it was ready: ${output.text}`);
    }
    return { from, at };
  } finally {
    clearTimeout(timer);
    late.abort();
    child.unref();
  }
}

/** What a process prints, read as it comes. */
class Output {
  text = "";
  #heard = () => {};

  constructor(child: Deno.ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      this.text += piece;
      this.#heard();
    }
  }

  says(word: string): Promise<void> {
    return new Promise((resolve) => {
      this.#heard = () => {
        if (this.text.includes(word)) resolve();
      };
    });
  }
}

/** Resolves when the program on a port answers as one that is ready, or at the signal. */
export async function portAnswers(
  port: number,
  { send, expect }: Ready & { kind: "port" },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(send);
      const buffer = new Uint8Array(64);
      const count = await connection.read(buffer) ?? 0;
      const answer = new TextDecoder().decode(buffer.subarray(0, count));
      if (answer.startsWith(expect)) return;
    } catch {
      // nobody listens yet
    }
    await pause(PROBE_MS);
  }
}

/** Waits until nobody listens on a port: a program of the start before, or of another run. */
async function untilFree(port: number): Promise<void> {
  const deadline = now() + FREE_TIMEOUT_MS;
  while (true) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    } catch {
      return;
    }
    if (now() > deadline) throw new Error(`something listens on port ${port}`);
    await pause(100);
  }
}
