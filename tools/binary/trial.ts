/** Runs a compiled binary for the first time. @module */

/** What came of it: null if this machine cannot run such a program. */
export type Tried = {
  /** How long `--version` took, ms. */
  readonly startMs: number;
  /** How many commands were run. */
  readonly commands: number;
} | null;

interface Trial {
  readonly args: readonly string[];
  readonly code: number;
  /** What it must say, on either stream. */
  readonly says: string;
}

const EMULATORS = { x86_64: "qemu-x86_64", aarch64: "qemu-aarch64" } as const;

/**
 * Runs commands that together load most of the program, in an empty folder and without a cache of Deno. None
 * reaches a registry or changes anything.
 * @param version what `--version` must say.
 * @throws Error if one of them says or does something else.
 */
export async function tryBinary(
  binary: string,
  version: string,
  architecture: keyof typeof EMULATORS,
): Promise<Tried> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-trial-" });
  const emulator = architecture === Deno.build.arch
    ? []
    : await emulatorFor(architecture);
  const trials: readonly Trial[] = [
    { args: ["--version"], code: 0, says: `soci-deno ${version}` },
    { args: ["config", "default"], code: 0, says: "[pull_modes.soci_v1]" },
    {
      args: ["status", "--root", `${folder}/root`],
      code: 1,
      says: "no daemon runs",
    },
    { args: ["serve", "--help"], code: 0, says: "soci-deno serve [flags]" },
    { // gRPC, and the place where containerd is
      args: [
        ...["pull", "--address", `${folder}/none.sock`],
        ...["--root", `${folder}/root`, "localhost:1/a/b:1"],
      ],
      code: 1,
      says: `${folder}/none.sock`,
    },
    { // the registry client
      args: ["inspect", "--plain-http", "localhost:1/a/b:1"],
      code: 1,
      says: "localhost:1",
    },
  ];
  try {
    if (emulator === null) return null;
    let startMs = 0;
    for (const [at, trial] of trials.entries()) {
      const ms = await run([...emulator, binary], trial, folder);
      if (at === 0) startMs = ms;
    }
    return { startMs, commands: trials.length };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(
  command: readonly string[],
  { args, code, says }: Trial,
  folder: string,
): Promise<number> {
  const [program = "", ...before] = command;
  const started = performance.now();
  const ran = await new Deno.Command(program, {
    args: [...before, ...args],
    cwd: folder,
    env: { DENO_DIR: `${folder}/deno`, NO_COLOR: "1" },
    stdin: "null",
    signal: AbortSignal.timeout(60_000),
  }).output();
  const ms = performance.now() - started;
  const [out, error] = [ran.stdout, ran.stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (ran.code === code && `${out}${error}`.includes(says)) return ms;
  throw new Error(
    `the binary does not work and was removed: \`${
      args.join(" ")
    }\` was to say "${says}" and end with ${code}; it ended with ${ran.code} and said: ${
      `${out}${error}`.trim().slice(0, 2000)
    }`,
  );
}

/** How a program for another machine is run here; null if it cannot be. */
async function emulatorFor(
  architecture: keyof typeof EMULATORS,
): Promise<readonly string[] | null> {
  for (
    const name of [EMULATORS[architecture], `${EMULATORS[architecture]}-static`]
  ) {
    try {
      await new Deno.Command(name, { args: ["--version"] }).output();
      return [name];
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}
