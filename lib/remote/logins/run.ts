/** Programs that answer on standard output with a JSON document. @module */
import { type Table, tableOf } from "./documents.ts";
import { LoginSetupError } from "./errors.ts";

const TIMEOUT_MS = 60_000;
const MAX_BYTES = 2 ** 20;

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
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const fail = (why: string) => new LoginSetupError(`${program} ${why}`);
  let output: Deno.CommandOutput;
  try {
    const child = new Deno.Command(program, {
      args: [...options.args],
      env: { ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      signal,
    }).spawn();
    const writer = child.stdin.getWriter();
    const input = options.input === undefined
      ? ""
      : JSON.stringify(options.input);
    // It may answer without reading its input and close the pipe. That is fine.
    await writer.write(new TextEncoder().encode(input)).catch(() => {});
    await writer.close().catch(() => {});
    output = await child.output();
  } catch (error) {
    throw fail(
      error instanceof Deno.errors.NotFound
        ? "is not there"
        : "could not be run",
    );
  }
  if (signal.aborted) throw fail(`did not answer within ${TIMEOUT_MS} ms`);
  if (!output.success) throw fail(`failed with exit code ${output.code}`);
  if (output.stdout.length > MAX_BYTES) throw fail("answered too much");
  try {
    return tableOf(JSON.parse(new TextDecoder().decode(output.stdout)));
  } catch {
    throw fail("answered no JSON");
  }
}
