import { connect, say } from "./socket.ts";

/** How long the daemon may take to answer. */
const ANSWER_MS = 5_000;

/** The running daemon gave no answer that can be used. */
export class StatusError extends Error {
  static {
    this.prototype.name = "StatusError";
  }
}

/** A layer that the daemon downloads. */
export interface LayerOnItsWay {
  /** Of its blob. */
  readonly digest: string;
  /** Bytes that came so far. */
  readonly bytes: number;
}

/**
 * Asks the daemon that listens at `path` for its status.
 * @returns its answer, parsed and not checked; null when none runs.
 * @throws StatusError when it does not answer, or not in JSON.
 */
export function askStatus(path: string): Promise<unknown> {
  return ask(path, "status");
}

/**
 * Asks the daemon that listens at `path` which layers it downloads now.
 * @returns none when no daemon runs, or one that does not say.
 */
export async function askProgress(
  path: string,
): Promise<readonly LayerOnItsWay[]> {
  try {
    const answer = await ask(path, "progress");
    return Array.isArray(answer) ? answer.filter(isLayer) : [];
  } catch {
    return []; // nothing depends on it
  }
}

/**
 * Asks the daemon that listens at `path` for the last lines of its log.
 * @returns them, oldest first; null when none runs.
 * @throws StatusError when it does not answer; one of an older release knows no such question.
 */
export async function askLog(path: string): Promise<string[] | null> {
  const answer = await ask(path, "log");
  return Array.isArray(answer) ? answer.map(String) : null;
}

function isLayer(value: unknown): value is LayerOnItsWay {
  return typeof value === "object" && value !== null &&
    "digest" in value && typeof value.digest === "string" &&
    "bytes" in value && typeof value.bytes === "number";
}

async function ask(path: string, what: string): Promise<unknown> {
  using connection = await connect(path);
  if (connection === null) return null;
  await say(connection, { say: what });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      late.reject(
        new StatusError(
          `the running daemon did not answer within ${ANSWER_MS / 1000} s`,
        ),
      ),
    ANSWER_MS,
  );
  try {
    const answer = new Response(connection.readable).text();
    return JSON.parse(await Promise.race([answer, late.promise]));
  } catch (cause) {
    if (cause instanceof StatusError) throw cause;
    throw new StatusError("the running daemon tells no status", { cause });
  } finally {
    clearTimeout(timer);
  }
}
