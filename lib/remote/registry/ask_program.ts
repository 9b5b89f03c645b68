/** Programs that give logins: they are asked on their standard input, and answer on their standard output. @module */

/** The most that one may answer, bytes. */
const MAX_BYTES = 2 ** 20;

/** What became of it. */
export type ProgramAnswer =
  /** It ended by itself. What it said may hold a secret. */
  | {
    readonly kind: "ended";
    readonly code: number;
    readonly text: string;
  }
  /** It is not there, may not be run, could not be run, did not end in time, or said too much. */
  | {
    readonly kind: "absent" | "refused" | "unrunnable" | "late" | "too long";
  };

/**
 * Runs a program to its end. What it is told goes to its standard input, never to its arguments.
 * @param options.env variables beside those of this process.
 * @param options.timeoutMs it is ended after so long.
 */
export async function askProgram(
  program: string,
  options: {
    readonly args: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly input: string;
    readonly timeoutMs: number;
  },
): Promise<ProgramAnswer> {
  const signal = AbortSignal.timeout(options.timeoutMs);
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
    // It may answer without reading its input and close the pipe. That is fine.
    await writer.write(new TextEncoder().encode(options.input)).catch(() => {});
    await writer.close().catch(() => {});
    output = await child.output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { kind: "absent" };
    const isRefused = error instanceof Deno.errors.NotCapable;
    return { kind: isRefused ? "refused" : "unrunnable" };
  }
  if (signal.aborted) return { kind: "late" };
  if (output.stdout.length > MAX_BYTES) return { kind: "too long" };
  const text = new TextDecoder().decode(output.stdout);
  return { kind: "ended", code: output.code, text };
}
