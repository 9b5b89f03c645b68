import type {
  HelperReply,
  HelperRequest,
  MappedFailure,
  MappedRequest,
  MountAnswer,
} from "../mount_process/mod.ts";
import { mountElsewhere, type MountOptions, ownProgram } from "../os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { isMountPoint, listMounts } from "./mounts.ts";

/** An idle helper ends after so long, ms: it takes as much memory as any Deno process. */
const IDLE_MS = 2_000;
const KILLED = "the mount helper was killed twice";
const log = logger("mounting");
const encoder = new TextEncoder();

interface Running {
  readonly child: Deno.ChildProcess;
  readonly stdin: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  /** One after another, in the order of the requests. */
  readonly waiting: ((reply: HelperReply | null) => void)[];
  readonly ended: Promise<void>;
}

/**
 * Makes mounts in a separate process, because they need answers from this one (its FUSE Workers). If
 * this process made such a mount call itself and were killed in it, after its Worker had taken the
 * request, nothing but the answer could end the calling thread. The process would stay, and its
 * supervisor would not start the next one.
 *
 * The helper is started when it is needed. It ends when it is idle, and together with this process.
 */
export class MountHelper implements AsyncDisposable {
  readonly #arguments: readonly string[] | null;
  #running: Running | null = null;
  /** Whether it was told that there is none. */
  #warned = false;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /**
   * Starts nothing yet.
   * @param programArguments arguments of this program (`Deno.execPath()`) that make it call
   * `serveMounts` with the process ID that follows them. null: there is no such process, and mounts are
   * made by a thread of this one.
   */
  constructor(programArguments: readonly string[] | null) {
    this.#arguments = programArguments;
  }

  /** Starts it ahead of need: that takes about 50 ms. */
  wake(): void {
    clearTimeout(this.#idle);
    this.#running ??= this.#start();
    this.#restWhenIdle();
  }

  /** Mounts, after what was asked for before. */
  async mount(options: MountOptions): Promise<MountAnswer> {
    return await this.#mountOnce(options) ??
      // It was killed, either before the mount or after it.
      (isMountPoint(options.target)
        ? without(null)
        : await this.#mountOnce(options)) ??
      without(KILLED);
  }

  async #mountOnce(options: MountOptions): Promise<MountAnswer | null> {
    this.wake();
    if (this.#running === null) { // no helper process can be started
      const made = await mountElsewhere(options);
      return without(made ? null : "the kernel's log (dmesg) says why");
    }
    return (await this.#ask(this.#running, { mount: options }))?.mount ?? null;
  }

  /**
   * Shows directories a second time, with mapped owners. All of them, or it says why not; some may be
   * attached then. Only by the helper process: a thread of this one could not be ended.
   */
  async map({ clones, maps }: MappedRequest): Promise<MappedFailure | null> {
    for (let tries = 0; tries < 2; tries++) {
      this.wake();
      if (this.#running === null) {
        const code = "the mount helper cannot be started";
        return { call: "", code, source: null };
      }
      const there = new Set(listMounts().map(({ mountpoint }) => mountpoint));
      const missing = tries === 0
        ? clones
        : clones.filter(({ target }) => !there.has(target));
      const map = { clones: missing, maps };
      const reply = await this.#ask(this.#running, { map });
      if (reply !== null) return reply.map ?? null;
    }
    return { call: "", code: KILLED, source: null };
  }

  /** @returns null when the other process ended instead of answering. */
  async #ask(
    running: Running,
    request: HelperRequest,
  ): Promise<HelperReply | null> {
    clearTimeout(this.#idle);
    running.child.ref(); // keeps this process alive while a mount is awaited
    const answer = new Promise<HelperReply | null>((resolve) =>
      running.waiting.push(resolve)
    );
    running.stdin.write(encoder.encode(`${JSON.stringify(request)}\n`))
      .catch(() => {}); // it has ended: `ended` reports that to the callers
    const given = await answer;
    this.#restWhenIdle();
    return given;
  }

  #restWhenIdle(): void {
    clearTimeout(this.#idle);
    if (this.#running === null || this.#running.waiting.length > 0) return;
    this.#running.child.unref();
    this.#idle = setTimeout(() => this.#stop(), IDLE_MS);
    Deno.unrefTimer(this.#idle);
  }

  #start(): Running | null {
    if (this.#arguments === null) return null;
    let child: Deno.ChildProcess;
    try {
      child = spawn([...this.#arguments, String(Deno.pid)]);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (!this.#warned) {
        log.warn(
          "the mount helper cannot be started: if this process is killed while it mounts a layer, it may not end",
          { error: error.message },
        );
      }
      this.#warned = true;
      return null; // no memory, no permission: mounts are made by a thread then
    }
    const waiting: Running["waiting"] = [];
    const running: Running = {
      child,
      stdin: child.stdin.getWriter(),
      waiting,
      ended: this.#listen(child, waiting),
    };
    return running;
  }

  async #listen(
    child: Deno.ChildProcess,
    waiting: Running["waiting"],
  ): Promise<void> {
    const lines = child.stdout.pipeThrough(new TextDecoderStream());
    let rest = "";
    try {
      for await (const text of lines) {
        const parts = (rest + text).split("\n");
        rest = parts.pop() as string;
        for (const part of parts) waiting.shift()?.(JSON.parse(part));
      }
    } finally {
      if (this.#running?.child === child) this.#running = null;
      for (const tell of waiting.splice(0)) tell(null);
      await child.status;
    }
  }

  #stop(): Promise<void> {
    clearTimeout(this.#idle);
    const running = this.#running;
    if (running === null) return Promise.resolve();
    this.#running = null;
    running.child.ref();
    running.stdin.close().catch(() => {}); // it has ended by itself
    return running.ended;
  }

  /** Ends the other process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

/** An answer without devices. */
function without(failure: string | null): MountAnswer {
  return { failure, devices: [] };
}

/** @throws Deno's errors */
function spawn(args: string[]): Deno.ChildProcess {
  const start = (environment: Deno.CommandOptions) =>
    new Deno.Command(ownProgram(), {
      ...environment,
      ...{ args, stdin: "piped", stdout: "piped", stderr: "null" },
    }).spawn();
  try {
    return start({});
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    // Who has a list of programs starts none with variables of the dynamic linker.
    return start({ clearEnv: true, env: { HOME: Deno.env.get("HOME") ?? "" } });
  }
}
