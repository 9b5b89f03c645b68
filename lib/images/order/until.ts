import type { RecordingProgress } from "../../host/handover/mod.ts";

/** How often ports, addresses and reads are looked at, ms. */
const POLL_MS = 50;
/** How long one look may take, ms. */
const LOOK_MS = 2_000;

/** What says that a workload is ready, and its start over. The first that holds. */
export interface ReadySigns {
  /** A line of its output matches. */
  readonly log?: RegExp | undefined;
  /** Something listens on this port of this machine. */
  readonly port?: number | undefined;
  /** A request is answered with a status below 500. */
  readonly url?: string | undefined;
  /** It has read, and then for so long nothing more. */
  readonly idleMs?: number | undefined;
  /** So much time has passed. */
  readonly forMs?: number | undefined;
}

/** What was seen, for people: `port 6379 answers`. */
export type ReadySign = string;

/** Reads lines out of a workload's output, passes it on, and tells when one matches. */
export class LogWatch {
  readonly #pattern: RegExp | undefined;
  readonly #matched = Promise.withResolvers<ReadySign>();

  /** @param pattern undefined: none matches. */
  constructor(pattern: RegExp | undefined) {
    this.#pattern = pattern;
  }

  /** Resolves when a line matches. */
  get matched(): Promise<ReadySign> {
    return this.#matched.promise;
  }

  /** Reads a stream to its end. @param pass gets each piece as it comes. */
  async read(
    stream: ReadableStream<Uint8Array>,
    pass: (piece: Uint8Array) => void,
  ): Promise<void> {
    const decoder = new TextDecoder();
    let line = "";
    for await (const piece of stream) {
      pass(piece);
      if (this.#pattern === undefined) continue;
      const lines = (line + decoder.decode(piece, { stream: true })).split(
        "\n",
      );
      // A prompt without a line's end counts too; a line without end is not kept for ever.
      line = lines.at(-1)!.slice(-65_536);
      for (const one of lines) {
        if (this.#pattern.test(one)) {
          this.#matched.resolve(`output: ${one.trim().slice(0, 200)}`);
        }
      }
    }
  }
}

/**
 * Waits for the first sign.
 * @param progress of the recording.
 * @param log where output is watched; its `log` sign is resolved there.
 */
export async function untilReady(
  signs: ReadySigns,
  progress: () => Promise<RecordingProgress>,
  log: LogWatch,
  signal: AbortSignal,
): Promise<ReadySign> {
  const over = new AbortController();
  const both = AbortSignal.any([signal, over.signal]);
  const { port, url, idleMs, forMs } = signs;
  const waits: Promise<ReadySign>[] = [log.matched];
  if (port !== undefined) {
    waits.push(poll(both, () => listens(port), `port ${port} answers`));
  }
  if (url !== undefined) {
    waits.push(poll(both, () => answers(url, both), `${url} answers`));
  }
  if (idleMs !== undefined) {
    const idle = async () => {
      const { lastMs } = await progress();
      const now = performance.timeOrigin + performance.now();
      return lastMs !== null && now - lastMs >= idleMs;
    };
    waits.push(poll(both, idle, `nothing read for ${idleMs} ms`));
  }
  if (forMs !== undefined) {
    waits.push(pause(forMs, both).then(() => `${forMs} ms have passed`));
  }
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([...waits, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    over.abort();
    for (const wait of waits) wait.catch(() => {}); // they end by the abort
  }
}

async function poll(
  signal: AbortSignal,
  look: () => Promise<boolean>,
  sign: ReadySign,
): Promise<ReadySign> {
  while (!await look()) await pause(POLL_MS, signal);
  return sign;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

async function listens(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch (error) {
    return notYet(error);
  }
}

/** What one may not ask will never answer. @throws Deno.errors.NotCapable */
function notYet(error: unknown): false {
  if (error instanceof Deno.errors.NotCapable) throw error;
  return false;
}

async function answers(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { status, body } = await fetch(url, {
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]),
    });
    await body?.cancel();
    return status < 500;
  } catch (error) {
    return notYet(error);
  }
}
