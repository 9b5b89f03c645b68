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
  /** Whether it opens libc, which is not at its place where the architecture is emulated. */
  readonly libc?: true;
}

/** `folder`: where Debian's `libc6-…-cross` packages put a libc for another architecture. */
const EMULATORS = {
  x86_64: {
    name: "qemu-x86_64",
    loader: "lib64/ld-linux-x86-64.so.2",
    folder: "/usr/x86_64-linux-gnu",
  },
  aarch64: {
    name: "qemu-aarch64",
    loader: "lib/ld-linux-aarch64.so.1",
    folder: "/usr/aarch64-linux-gnu",
  },
} as const;

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
    { args: ["licences"], code: 0, says: "@grpc/grpc-js" },
    { // the files of packaging/
      args: [
        ...["install", "--dry-run", "--root", folder, "--containerd", "1.7"],
      ],
      code: 0,
      says: "soci-deno serve --address fd://",
    },
    { args: ["config", "default"], code: 0, says: "[pull_modes.soci_v1]" },
    {
      args: ["status", "--root", `${folder}/root`],
      code: 1,
      says: "no daemon runs",
    },
    {
      args: ["serve", "--help"],
      code: 0,
      says: "soci-deno serve [flags]",
      libc: true,
    },
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
    const possible = trials.filter(({ libc }) =>
      !libc || emulator.length === 0
    );
    for (const [at, trial] of possible.entries()) {
      const ms = await run([...emulator, binary], trial, folder);
      if (at === 0) startMs = ms;
    }
    assertKeepsNoCode(folder);
    return { startMs, commands: possible.length };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Code that is kept in a folder for all users is code that any of them can change. @throws Error */
function assertKeepsNoCode(temporary: string): void {
  const kept = [...Deno.readDirSync(temporary)].map(({ name }) => name)
    .find((name) => name.endsWith(".cache"));
  if (kept === undefined) return;
  throw new Error(
    `the binary keeps compiled code in the folder for temporary files, as ${kept}`,
  );
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
    env: { DENO_DIR: `${folder}/deno`, TMPDIR: folder, NO_COLOR: "1" },
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

/** How a program for another machine is run here: by qemu-user, with that machine's libc. Null if it cannot be. */
async function emulatorFor(
  architecture: keyof typeof EMULATORS,
): Promise<readonly string[] | null> {
  const { name, loader, folder } = EMULATORS[architecture];
  const root = ["/", folder].find((one) => exists(`${one}/${loader}`));
  if (root === undefined) return null;
  for (const program of [name, `${name}-static`]) {
    try {
      await new Deno.Command(program, { args: ["--version"] }).output();
      return [program, "-L", root];
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
