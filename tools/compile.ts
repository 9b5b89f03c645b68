/**
 * `deno task compile`: writes the single binary, `dist/soci-deno` when not said otherwise.
 *
 * `deno compile` cannot find the Workers by following imports, so they are named here. It embeds every
 * npm package of every import map, also those of the workspace members for tests and tools (binaryen
 * alone is 93 MB), so it is given a configuration without members.
 *
 * The base runtime is downloaded by Deno; where that is impossible `DENORT_BIN` names it.
 * @module
 */
import { isAbsolute, join } from "node:path";
import { readModules } from "./house/mod.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * Bounds V8's space for new objects: by default it grows to 32 MB, and stays that large after a pull.
 */
export const V8_FLAGS = ["--max-semi-space-size=2", "--expose-gc"];

interface DenoConfig {
  readonly workspace?: unknown;
  readonly [key: string]: unknown;
}

/** Paths, relative to the root, of every module that is started as a Worker. */
export function workerModules(): readonly string[] {
  const workers = readModules(new URL("../", import.meta.url), ["cmd", "lib"])
    .flatMap(({ imports }) => imports)
    .filter(({ kind }) => kind === "worker")
    .map(({ target }) => target as string);
  return [...new Set(workers)].sort();
}

/**
 * Compiles the binary. @returns what `deno compile` listed.
 * @throws Error when it fails, as where the base runtime cannot be downloaded.
 */
export async function compile(output: string): Promise<string> {
  const workers = workerModules();
  const config = JSON.parse(
    Deno.readTextFileSync(`${ROOT}deno.json`),
  ) as DenoConfig;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-compile-" });
  try {
    const { workspace: _, ...product } = config;
    await Deno.writeTextFile(
      `${folder}/deno.json`,
      JSON.stringify(product),
    );
    // Versions stay locked; Deno reduces the copy to the packages that are left in the maps.
    await Deno.copyFile(`${ROOT}deno.lock`, `${folder}/deno.lock`);
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["compile", "--no-check", "--config", `${folder}/deno.json`],
        ...["-P=binary", "--unstable-worker-options", "--no-prompt"],
        `--v8-flags=${V8_FLAGS.join(",")}`,
        ...workers.flatMap((path) => ["--include", path]),
        ...["--output", output, "main.ts"],
      ],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
    });
    const { success, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) +
      new TextDecoder().decode(stderr);
    if (success) return text;
    throw new Error(
      `${text.trim()}\n\ndeno compile failed. Where it cannot download its base runtime, say where one is: DENORT_BIN=/path/to/denort`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const wanted = Deno.args[0] ?? "dist/soci-deno";
  const output = isAbsolute(wanted) ? wanted : join(ROOT, wanted);
  try {
    console.log(await compile(output));
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}
