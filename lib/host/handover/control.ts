import { connect, elsewhere, type ExpectedImage } from "../control/mod.ts";
import { isReadOnlyDisk, removeIfThere } from "../files/mod.ts";
import { endProcess, processStart, signalProcess } from "../os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { Line, type Message, TakeoverError, within } from "./line.ts";
import { RecordingClient, type RecordReads, talkRecording } from "./record.ts";

const log = logger("handover");
/** Protocol version; a predecessor with another version is left alone. */
const PROTOCOL = 1;
/** A process that may connect may end the daemon, so only root may. */
const SOCKET_MODE = 0o600;
/** How long a predecessor may take to answer at all. */
const ANSWER_MS = 5_000;
/** How long it may take to finish running calls and to save and close its state. */
const QUIET_MS = 60_000;
/** How long it may take to end when it is told to. */
const END_MS = 5_000;

/*
 *  successor                         predecessor
 *  ask {protocol} ─────────────────►
 *                 ◄───────────────── willing {protocol, pid}
 *  (listens where the predecessor listened)
 *  begin ──────────────────────────►
 *                                    lets calls finish, saves and closes all but the mounts
 *                 ◄───────────────── quiet {handed}
 *  (opens the state, restores layers)
 *  ready ──────────────────────────►
 *                                    ends
 *                 ◄───────────────── end of the stream: made by the kernel, when the last thread is gone
 */

/** What a running daemon is asked, beside takeovers. */
export interface ControlQuestions {
  /** What a `status` question is answered with, as JSON. */
  readonly status: () => unknown | Promise<unknown>;
  /** What a `progress` question is answered with, as JSON: layers that are on their way. */
  readonly progress?: () => unknown;
  /** What a `log` question is answered with: the last lines of the log. */
  readonly log?: () => readonly string[];
  /** Told of an image that is about to be pulled; not checked. */
  readonly expect?: (image: ExpectedImage) => void;
  /** Begins to record the reads of layers. */
  readonly record: RecordReads;
}

/** A successor that wants to take over, as the predecessor sees it. */
export interface Takeover {
  /**
   * Reports that all state is saved and closed, and waits for what becomes of the successor.
   * @param handed what is in memory alone and the successor is to know, as JSON: at most half a mebibyte.
   */
  quiet(handed?: unknown): Promise<"ready" | "gone">;
}

/** The socket on which a running daemon answers status requests, recordings and takeovers. */
export class ControlServer implements Disposable {
  readonly #listener: Deno.Listener<Deno.Conn>;
  readonly #socket: string;
  readonly #questions: ControlQuestions;
  readonly #asked = Promise.withResolvers<Takeover>();

  private constructor(
    listener: Deno.Listener<Deno.Conn>,
    socket: string,
    questions: ControlQuestions,
  ) {
    this.#listener = listener;
    this.#socket = socket;
    this.#questions = questions;
    this.#accept();
  }

  /**
   * Listens on a Unix socket, replacing what is there: the caller holds the daemon's lock.
   * @param path in a folder that only root may enter.
   */
  static listen(path: string, questions: ControlQuestions): ControlServer {
    const { listener, socket } = listenAt(path);
    return new ControlServer(listener, socket, questions);
  }

  /** Resolves when a successor wants to begin. */
  get asked(): Promise<Takeover> {
    return this.#asked.promise;
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        this.#talk(new Line(connection)).catch((error) =>
          log.warn("control connection failed", { error: String(error) })
        );
      }
    } catch {
      // closed
    }
  }

  async #talk(line: Line): Promise<void> {
    const ask = await line.hear();
    if (ask?.say === "status") {
      using _line = line;
      return await line.say(await this.#questions.status());
    }
    if (ask?.say === "progress") {
      using _line = line;
      return await line.say(this.#questions.progress?.() ?? []);
    }
    if (ask?.say === "log") {
      using _line = line;
      return await line.say(this.#questions.log?.() ?? []);
    }
    if (ask?.say === "record") {
      using _line = line;
      return await talkRecording(line, ask.layers, this.#questions.record);
    }
    if (ask?.say === "expect") {
      using _line = line;
      const { image, manifest } = ask;
      if (typeof image !== "string" || typeof manifest !== "string") return;
      this.#questions.expect?.({ image, manifest });
      return;
    }
    if (ask?.say !== "ask") return line[Symbol.dispose]();
    await line.say(
      { say: "willing", protocol: PROTOCOL, pid: Deno.pid } satisfies Message,
    );
    const begin = await line.hear();
    if (begin?.say !== "begin") return line[Symbol.dispose]();
    this.#asked.resolve({
      quiet: async (handed) => {
        try {
          await line.say({ say: "quiet", handed } satisfies Message);
          if ((await line.hear())?.say === "ready") return "ready";
        } catch (error) {
          log.warn("successor failed", { error: String(error) });
        }
        return "gone";
      },
    });
    // The connection is never closed here: its end tells the successor that this process is gone.
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#listener.close();
    try {
      removeIfThere(this.#socket);
    } catch (error) {
      if (!isReadOnlyDisk(error)) throw error;
    }
  }
}

/** A running daemon that gives way, as its successor sees it. */
export class Predecessor implements Disposable {
  readonly #line: Line;
  #ended = false;

  /** Takes over the connection. @param pid of the daemon at its other end. */
  constructor(line: Line, readonly pid: number) {
    this.#line = line;
  }

  /** Whether it is there, as far as is known. */
  get alive(): boolean {
    return !this.#ended;
  }

  /**
   * Makes it finish its calls and save and close its state; it still answers reads of cached bytes. If
   * it dies instead, there is nothing left to wait for.
   * @returns what it handed over that is in memory alone; undefined for nothing. Not checked.
   * @throws TakeoverError when it takes too long.
   */
  async quiet(): Promise<unknown> {
    let answer: Message | null = null;
    try {
      await this.#line.say({ say: "begin" });
      answer = await within(
        QUIET_MS,
        "the running daemon's last work",
        this.#line.hear(),
      );
    } catch (error) {
      if (error instanceof TakeoverError) throw error;
    }
    if (answer?.say === "quiet") return answer.handed;
    log.warn("the running daemon ended by itself", { pid: this.pid });
    this.#ended = true;
    return undefined;
  }

  /** Ends it. When this resolves no thread of it reads requests any more. */
  async end(): Promise<void> {
    if (this.#ended) return;
    const started = processStart(this.pid);
    try {
      await this.#line.say({ say: "ready" });
      await within(END_MS, "ending", this.#line.hear());
    } catch (error) {
      if (started === null) return; // it died before the message reached it
      log.warn("the last daemon does not end by itself", {
        pid: this.pid,
        error: String(error),
      });
      if (processStart(this.pid) === started) endProcess(this.pid);
      await within(END_MS, "dying", this.#line.hear().catch(() => null));
    }
  }

  /** Makes it unmount everything and end, without a hand-over. */
  async stop(): Promise<void> {
    signalProcess(this.pid, "SIGINT");
    await within(QUIET_MS, "unmounting", this.#line.hear());
  }

  /**
   * Closes the connection. A predecessor that is quiet but was not ended then assumes that its successor
   * died.
   */
  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]();
  }
}

function listenAt(
  path: string,
): { listener: Deno.Listener<Deno.Conn>; socket: string } {
  try {
    return { listener: listen(path), socket: path };
  } catch (error) {
    if (!isReadOnlyDisk(error)) throw error;
    const socket = elsewhere(path);
    log.warn("the control socket is elsewhere: the disk is read-only", {
      path: socket,
    });
    return { listener: listen(socket), socket };
  }
}

function listen(path: string): Deno.Listener<Deno.Conn> {
  removeIfThere(path);
  const listener = Deno.listen({ transport: "unix", path });
  Deno.chmodSync(path, SOCKET_MODE);
  return listener as Deno.Listener<Deno.Conn>;
}

/**
 * Asks the daemon that listens at `path` to give way. Nothing changes before `quiet` is called.
 * @returns null when none runs.
 * @throws TakeoverError when it does not know how.
 */
export async function askTakeover(path: string): Promise<Predecessor | null> {
  const connection = await connect(path);
  if (connection === null) return null;
  const line = new Line(connection);
  try {
    await line.say({ say: "ask", protocol: PROTOCOL });
    const answer = await within(ANSWER_MS, "an answer", line.hear());
    if (answer?.say !== "willing" || answer.protocol !== PROTOCOL) {
      throw new TakeoverError(
        `the running daemon speaks control protocol ${answer?.protocol}, this release ${PROTOCOL}`,
      );
    }
    if (!Number.isInteger(answer.pid) || answer.pid! <= 1) {
      throw new TakeoverError("the running daemon does not say who it is");
    }
    return new Predecessor(line, answer.pid!);
  } catch (error) {
    line[Symbol.dispose]();
    throw error;
  }
}

/**
 * Has the daemon that listens at `path` record the reads of layers, until the connection ends.
 * @returns null when none runs.
 * @throws TakeoverError when it does not know how.
 */
export async function askRecording(
  path: string,
  layers: readonly string[],
): Promise<RecordingClient | null> {
  const connection = await connect(path);
  if (connection === null) return null;
  const line = new Line(connection);
  try {
    return await RecordingClient.begin(line, layers);
  } catch (error) {
    line[Symbol.dispose]();
    throw error;
  }
}
