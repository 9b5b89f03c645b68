import { connect, say } from "./socket.ts";

/** How long the daemon may take to answer. */
const ANSWER_MS = 5_000;

/** The running daemon gave no answer that can be used. */
export class StatusError extends Error {
  static {
    this.prototype.name = "StatusError";
  }
}

/**
 * Asks the daemon that listens at `path` for its status.
 * @returns its answer, parsed and not checked; null when none runs.
 * @throws StatusError when it does not answer, or not in JSON.
 */
export async function askStatus(path: string): Promise<unknown> {
  using connection = await connect(path);
  if (connection === null) return null;
  await say(connection, { say: "status" });
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
