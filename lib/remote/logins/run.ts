/** Programs that answer on standard output with a JSON document. @module */
import { askProgram } from "../registry/mod.ts";
import { type Table, tableOf } from "./documents.ts";
import { LoginSetupError } from "./errors.ts";

const TIMEOUT_MS = 60_000;

const WHY = {
  absent: "is not there",
  refused:
    "may not be run: it was not named when this process started, or LD_* variables are set (docs/security.md)",
  unrunnable: "could not be run",
  late: `did not answer within ${TIMEOUT_MS} ms`,
  "too long": "answered too much",
} as const;

/**
 * Runs a program. What it is told goes to its standard input, never to its arguments.
 * @throws LoginSetupError, which quotes nothing of what it says
 */
export async function runForJson(
  program: string,
  options: {
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
    readonly input?: unknown;
  },
): Promise<Table> {
  const { args, env, input } = options;
  const fail = (why: string) => new LoginSetupError(`${program} ${why}`);
  const answer = await askProgram(program, {
    ...{ args, env, timeoutMs: TIMEOUT_MS },
    input: input === undefined ? "" : JSON.stringify(input),
  });
  if (answer.kind !== "ended") throw fail(WHY[answer.kind]);
  if (answer.code !== 0) throw fail(`failed with exit code ${answer.code}`);
  try {
    return tableOf(JSON.parse(answer.text));
  } catch {
    throw fail("answered no JSON");
  }
}
