/** A program's output and exit code. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program exited with another code than 0. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  constructor(readonly command: string, readonly result: CommandResult) {
    super(
      `${command}: exit ${result.code}\n${result.stdout.slice(-1000)}\n${
        result.stderr.slice(-3000)
      }`,
    );
  }
}

/** How to run a program. */
export interface CommandOptions {
  /** After this time the program is killed (exit code 124). Default: 60 s. */
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Called with all that the program has printed so far, each time it prints. */
  readonly onOutput?: (stdout: string) => void;
}

/**
 * Runs a program to its end, whatever its exit code. It runs under timeout(1), so that a program
 * stuck on a dead mount cannot block the test run.
 */
export async function tryRun(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const seconds = (options.timeoutMs ?? 60_000) / 1000;
  const child = new Deno.Command("timeout", {
    args: ["-k", "5", String(seconds), program, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  }).spawn();
  let stdout = "";
  const [{ code }, stderr] = await Promise.all([
    child.status,
    new Response(child.stderr).text(),
    (async () => {
      const texts = child.stdout.pipeThrough(new TextDecoderStream());
      for await (const text of texts) {
        stdout += text;
        options.onOutput?.(stdout);
      }
    })(),
  ]);
  return { code, stdout, stderr };
}

/** Runs a program that must succeed. @throws CommandError */
export async function run(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const result = await tryRun(program, args, options);
  if (result.code !== 0) {
    throw new CommandError([program, ...args].join(" "), result);
  }
  return result;
}
