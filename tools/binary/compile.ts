/**
 * `deno task compile [OUTPUT] [ARCHITECTURE]`: writes the single binary. Default: `dist/soci-deno`, for this
 * machine's architecture.
 *
 * What is compiled is the bundle, so nothing has to be found while compiling, and two compiles of one tree give
 * the same bytes. The result is tried before this says that it is done.
 *
 * Deno downloads the base runtime. Where that is impossible, `DENORT_BIN` names one.
 * @module
 */
import { isAbsolute, join } from "node:path";
import { type Bundle, bundle, PACKAGED } from "./bundle.ts";
import { V8_FLAGS } from "./launcher.ts";
import { ROOT } from "./starts.ts";
import { type Tried, tryBinary } from "./trial.ts";

/** Architectures that can be compiled for, and what the first bytes of their programs say (ELF's e_machine). */
const ARCHITECTURES = { x86_64: 62, aarch64: 183 } as const;
type Architecture = keyof typeof ARCHITECTURES;

/** What is compiled, and with what. */
export interface CompileOptions {
  /** Default: this machine's. */
  readonly architecture?: Architecture;
  /** The Deno that compiles; by default the one that runs this. */
  readonly deno?: string;
  /** Path of the base runtime, of that Deno's version. By default Deno downloads it. */
  readonly baseRuntime?: string | undefined;
  /** The bundle; by default one is made. */
  readonly made?: Bundle;
  /** The file of the bundle that is started, when it is not the program itself. */
  readonly start?: string;
}

/**
 * Compiles the binary. It is not tried.
 * @param output an absolute path; it is replaced when all went well.
 * @returns what was compiled.
 * @throws Error if it fails, for example because the base runtime cannot be had.
 */
export async function compile(
  output: string,
  options: CompileOptions = {},
): Promise<Bundle> {
  const {
    architecture = Deno.build.arch,
    deno = Deno.execPath(),
    baseRuntime,
    start = "main.js",
  } = options;
  if (baseRuntime !== undefined) assertRuntimeFor(architecture, baseRuntime);
  const work = await Deno.makeTempDir({ prefix: "soci-deno-compile-" });
  try {
    const made = options.made ?? await bundle(join(work, "bundle"));
    // Deno finds no part that is loaded late by itself (`bundle.ts`).
    const others = made.files.filter((name) =>
      name.endsWith(".js") && name !== "main.js"
    );
    const child = new Deno.Command(deno, {
      args: [
        ...["compile", "--no-check", "--no-config", "--no-lock", "--no-remote"],
        ...["--no-npm", "--no-prompt", "--unstable-worker-options"],
        // The runtime would keep compiled code at a known name in /tmp, where anybody can put other code before us.
        "--no-code-cache",
        ...await permissionsOfBinary(made.folder),
        `--v8-flags=${V8_FLAGS.join(",")}`,
        ...[...others, "licences.txt", ...PACKAGED].flatMap((name) => [
          ...["--include", name],
        ]),
        ...["--target", `${architecture}-unknown-linux-gnu`],
        // Always the same name: Deno writes it into the binary.
        ...["--output", join(work, "soci-deno"), start],
      ],
      cwd: made.folder,
      env: {
        NO_COLOR: "1",
        ...(baseRuntime !== undefined && { DENORT_BIN: baseRuntime }),
      },
    });
    const { success, stderr } = await child.output();
    if (!success) {
      throw new Error(whyNot(new TextDecoder().decode(stderr), baseRuntime));
    }
    await Deno.copyFile(join(work, "soci-deno"), `${output}.new`);
    await Deno.rename(`${output}.new`, output);
    return made;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** The permissions that all subcommands need together, as flags. */
async function permissionsOfBinary(folder: string): Promise<string[]> {
  const { permissions } = JSON.parse(
    await Deno.readTextFile(`${folder}/deno.json`),
  );
  return Object.entries(
    permissions.binary as Record<string, true | readonly string[]>,
  ).map(([kind, scope]) =>
    scope === true ? `--allow-${kind}` : `--allow-${kind}=${scope.join(",")}`
  );
}

/** @throws Error if the file is no program for that architecture. */
function assertRuntimeFor(architecture: Architecture, path: string): void {
  using file = Deno.openSync(path);
  const head = new Uint8Array(20);
  file.readSync(head);
  const machine = new DataView(head.buffer).getUint16(18, true);
  if (machine !== ARCHITECTURES[architecture]) {
    throw new Error(
      `DENORT_BIN=${path} is no program for ${architecture}: name a base runtime of that architecture`,
    );
  }
}

function whyNot(said: string, baseRuntime: string | undefined): string {
  const url = /for url \((\S*denort\S*)\)|Download\s+(\S*denort\S*)/.exec(said);
  if (baseRuntime === undefined && url !== null) {
    return `the base runtime of Deno cannot be downloaded from ${
      url[1] ?? url[2]
    }: fetch it where that is possible, unpack it, and name it: DENORT_BIN=/path/to/denort`;
  }
  return `deno compile failed:\n${said.trim()}`;
}

function architectureOf(text: string | undefined): Architecture {
  if (text === undefined) return Deno.build.arch;
  const name = { arm64: "aarch64", amd64: "x86_64" }[text] ?? text;
  if (name in ARCHITECTURES) return name as Architecture;
  throw new Error(`no architecture "${text}": say x86_64 or aarch64`);
}

function report(output: string, made: Bundle, tried: Tried): string {
  const { size } = Deno.statSync(output);
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const how = tried === null
    ? "NOT TRIED: this machine cannot run that architecture (qemu-user could)"
    : `starts in ${
      Math.round(tried.startMs)
    } ms (${tried.commands} commands run)`;
  return `${output}: ${mb(size)}, ${mb(made.bytes)} of it ours; ${how}`;
}

if (import.meta.main) {
  const [wanted = "dist/soci-deno", architectureName] = Deno.args;
  const output = isAbsolute(wanted) ? wanted : join(ROOT, wanted);
  try {
    const architecture = architectureOf(architectureName);
    const made = await compile(output, {
      architecture,
      baseRuntime: Deno.env.get("DENORT_BIN"),
    });
    const tried = await tryBinary(output, made.version, architecture)
      .catch(async (error) => {
        await Deno.remove(output);
        throw error;
      });
    console.log(report(output, made, tried));
  } catch (error) {
    console.error(`compile: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
