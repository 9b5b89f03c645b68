/**
 * `deno task bundle`: the product as a few small JavaScript files, `dist/bundle` unless said otherwise.
 *
 * `main.js` holds the command line alone; what a command uses lies in files that it loads. A Worker is a file of
 * its own, too. All files lie in one folder, so that each finds the others beside it, from a checkout, from a
 * package and inside the single binary. Nothing but Deno is needed to run them: npm packages are inside.
 *
 * The same tree gives the same bytes, wherever it lies and whenever it is bundled.
 * @module
 */
import { build, type Metafile, stop } from "esbuild";
import { basename, isAbsolute, join } from "node:path";
import { VERSION } from "../../cmd/version.ts";
import { builtFrom, type Origin } from "./built_from.ts";
import { licencesOf, type Package, packagesOf } from "./licences.ts";
import { compiledEarly } from "./compiled_early.ts";
import { directImports } from "./direct_imports.ts";
import { launcher } from "./launcher.ts";
import { leftOut } from "./left_out.ts";
import { ownFiles } from "./own_files.ts";
import { readyDescriptors } from "./ready_descriptors.ts";
import { stage } from "./staging.ts";
import { entryName, productModules, ROOT, startModules } from "./starts.ts";

/** What was bundled. */
export interface Bundle {
  readonly folder: string;
  /** Names of the files in the folder. */
  readonly files: readonly string[];
  /** Names of the files that are started: the program and its Workers. */
  readonly starts: readonly string[];
  /** What `--version` says of it. */
  readonly version: string;
  /** Sum of all files. */
  readonly bytes: number;
  /** What was bundled beside our own modules. */
  readonly packages: readonly Package[];
  /** Of the commit. */
  readonly time: Date;
}

/** The file with the licences of what was bundled. */
const LICENCES = "licences.txt";
/** The files of `packaging/`, which `install` writes. */
export const PACKAGED: readonly string[] = [
  "config.toml",
  "soci-snapshotter.service",
  "soci-snapshotter.socket",
];
/** The script that starts the bundle. */
const LAUNCHER = "soci-deno";

/**
 * Writes the bundle into `folder`, which is emptied first.
 * @throws Error if a module cannot be found.
 */
export async function bundle(folder: string): Promise<Bundle> {
  const modules = productModules();
  const starts = startModules(modules);
  const origin = await builtFrom();
  using staging = await stage();
  const entries = starts.map((path) => ({
    in: join(staging.path, path),
    out: entryName(path).replace(/\.js$/, ""),
  }));
  try {
    const { outputFiles, metafile } = await build({
      absWorkingDir: staging.path,
      entryPoints: entries,
      outdir: folder,
      bundle: true,
      splitting: true,
      minify: true,
      format: "esm",
      target: "esnext",
      platform: "node", // Deno has what Node has; packages choose their files by it
      chunkNames: "part-[hash]",
      conditions: ["deno", "import", "module"],
      define: { SOCI_DENO_BUILT_FROM: JSON.stringify(origin.text) },
      legalComments: "none", // licences.txt has them whole
      plugins: [
        readyDescriptors(staging.path),
        leftOut(),
        ownFiles(staging.path, new Set(starts), directImports(modules)),
      ],
      metafile: true,
      write: false,
      logLevel: "silent",
    });
    assertSelfContained(metafile);
    await Deno.remove(folder, { recursive: true }).catch(ignoreMissing);
    await Deno.mkdir(folder, { recursive: true });
    const write = (name: string, content: string | Uint8Array) =>
      Deno.writeFile(
        join(folder, name),
        typeof content === "string"
          ? new TextEncoder().encode(content)
          : content,
      );
    for (const { path, text } of outputFiles) {
      assertNamed(metafile, path, text);
      await write(basename(path), compiledEarly(readLate(text)));
    }
    await write("deno.json", `${JSON.stringify(await configOfBundle())}\n`);
    const packages = await packagesOf(metafile, staging.path);
    await write(LICENCES, await licencesOf(packages, staging.path));
    for (const name of PACKAGED) {
      await write(name, await Deno.readFile(`${ROOT}packaging/${name}`));
    }
    await write(LAUNCHER, launcher());
    await Deno.chmod(join(folder, LAUNCHER), 0o755);
    return {
      ...await look(folder, starts.map(entryName), origin),
      packages,
    };
  } finally {
    await stop();
  }
}

/**
 * Deno reads and parses all that a program may ever load before it starts it, where the names stand in the text: 240
 * files for each command, and each Worker. So the names of parts that are loaded late do not stand there whole.
 */
function readLate(text: string): string {
  return text.replaceAll(
    /\bimport\("\.\/(part-\w+\.js)"\)/g,
    'import(String("./$1"))',
  );
}

/**
 * A CommonJS package that is loaded late is all in `default`: what takes a name of it would find nothing. @throws Error
 */
function assertNamed(
  { outputs }: Metafile,
  path: string,
  text: string,
): void {
  if (!/\bexport default [\w$]+\(\);\s*$/.test(text)) return;
  const [name, { entryPoint }] = Object.entries(outputs)
    .find(([name]) => basename(name) === basename(path))!;
  throw new Error(
    `${
      entryPoint ?? name
    } is loaded late and is CommonJS: load a module that imports from it`,
  );
}

/** Without imports or workspace: there is nothing left to find. */
async function configOfBundle(): Promise<Record<string, unknown>> {
  const config = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const { name, version, license, unstable, permissions } = config;
  return {
    ...{ name, version, license, exports: "./main.js" },
    ...{ nodeModulesDir: "none", lock: false, unstable, permissions },
  };
}

/** A bundle that needs a package at run time would die on the first host. @throws Error */
function assertSelfContained({ outputs }: Metafile): void {
  for (const [output, { imports }] of Object.entries(outputs)) {
    for (const { path, external } of imports) {
      if (external === true && !path.startsWith("node:")) {
        throw new Error(`${output} was not bundled whole: it imports ${path}`);
      }
    }
  }
}

async function look(
  folder: string,
  starts: readonly string[],
  { text, time }: Origin,
): Promise<Omit<Bundle, "packages">> {
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const missing = starts.filter((name) => !files.includes(name));
  if (missing.length > 0) throw new Error(`not bundled: ${missing.join(", ")}`);
  let bytes = 0;
  for (const name of files) {
    const path = join(folder, name);
    bytes += (await Deno.stat(path)).size;
    await Deno.utime(path, time, time); // the single binary holds it
  }
  const version = text === "" ? VERSION : `${VERSION} (${text})`;
  return { folder, files, starts, bytes, version, time };
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (import.meta.main) {
  const wanted = Deno.args[0] ?? "dist/bundle";
  const folder = isAbsolute(wanted) ? wanted : join(ROOT, wanted);
  const { files, bytes } = await bundle(folder);
  console.log(`${folder}: ${files.length} files, ${bytes} bytes`);
}
