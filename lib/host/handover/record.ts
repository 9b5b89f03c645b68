import { type Line, TakeoverError, within } from "./line.ts";

/** How long the daemon may take to answer. */
const ANSWER_MS = 10_000;
/** Reads in one message: so that neither side works long on one. */
const READS_A_MESSAGE = 2048;
/** The most layers that one recording names. */
const MAX_LAYERS = 10_000;

/** One read, as it goes over the socket: layer (its place in `served`), offset, length, at, waited. */
export type SpokenRead = readonly [
  layer: number,
  offset: number,
  length: number,
  atMs: number,
  waitedMs: number,
];

/** A recording that a daemon makes for somebody at its control socket. */
export interface RecordedReads extends Disposable {
  /** Digests of the layers that are recorded, out of those that were asked for. */
  readonly served: readonly string[];
  /** Reads so far. */
  reads(): readonly SpokenRead[];
  /** Reads that are missing in the list. */
  readonly lost: number;
}

/** Begins to record the reads of layers, by digest. */
export type RecordReads = (layers: readonly string[]) => RecordedReads;

/*
 *  record                              daemon
 *  record {layers} ─────────────────►
 *                 ◄───────────────── {served}
 *  touched ─────────────────────────►                        as often as wanted
 *                 ◄───────────────── {reads, lost, lastMs}
 *  end ─────────────────────────────►
 *                 ◄───────────────── {some: [...]}           until one is empty
 */

/**
 * The daemon's side: records until it is told to end, or the other side is gone.
 * @param asked the layers; from outside.
 */
export async function talkRecording(
  line: Line,
  asked: unknown,
  record: RecordReads,
): Promise<void> {
  const layers = Array.isArray(asked) ? asked.slice(0, MAX_LAYERS) : [];
  using recording = record(layers.map(String));
  await line.say({ served: recording.served });
  for (;;) {
    const said = (await line.hear())?.say;
    if (said === "end") break;
    if (said !== "touched") return; // it is gone
    const reads = recording.reads();
    const lastMs = reads.at(-1)?.[3] ?? null;
    await line.say({ reads: reads.length, lost: recording.lost, lastMs });
  }
  const reads = recording.reads();
  for (let at = 0; at <= reads.length; at += READS_A_MESSAGE) {
    await line.say({ some: reads.slice(at, at + READS_A_MESSAGE) });
  }
}

/** How far a recording is. */
export interface RecordingProgress {
  /** Reads so far. */
  readonly reads: number;
  /** Reads that are missing. */
  readonly lost: number;
  /** When the last one began, ms since the epoch; null before the first. */
  readonly lastMs: number | null;
}

/** A recording that the running daemon makes, as the one who asked for it sees it. */
export class RecordingClient implements Disposable {
  readonly #line: Line;

  private constructor(
    line: Line,
    /** Digests of the layers that the daemon serves, and so records. */
    readonly served: readonly string[],
  ) {
    this.#line = line;
  }

  /** Begins. @throws TakeoverError when the daemon knows no recordings */
  static async begin(
    line: Line,
    layers: readonly string[],
  ): Promise<RecordingClient> {
    await line.say({ say: "record", layers });
    const { served } = await answer<{ served?: unknown }>(line);
    if (!Array.isArray(served)) {
      throw new TakeoverError("the running daemon cannot record");
    }
    return new RecordingClient(line, served.map(String));
  }

  /** How far it is. */
  async progress(): Promise<RecordingProgress> {
    await this.#line.say({ say: "touched" });
    return await answer<RecordingProgress>(this.#line);
  }

  /** Ends it. @returns all reads, `layer` counting in `served`. */
  async end(): Promise<readonly SpokenRead[]> {
    await this.#line.say({ say: "end" });
    const reads: SpokenRead[] = [];
    for (;;) {
      const { some } = await answer<{ some: readonly SpokenRead[] }>(
        this.#line,
      );
      reads.push(...some);
      if (some.length < READS_A_MESSAGE) return reads;
    }
  }

  /** Ends the connection, and so the recording. */
  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]();
  }
}

async function answer<T>(line: Line): Promise<T> {
  const said: unknown = await within(ANSWER_MS, "an answer", line.hear());
  if (said !== null) return said as T;
  throw new TakeoverError(
    "the daemon ended the recording; a daemon of an older release cannot record",
  );
}
