/**
 * `deno task compile`: writes the single binary. Default: `dist/soci-deno`.
 *
 * `deno compile` cannot find the Workers by following imports, so they are passed by name. It
 * embeds every npm package of every import map, even those that only tests and tools use (binaryen
 * alone is 93 MB). So it gets a configuration without workspace members.
 *
 * Deno downloads the base runtime. If that is impossible, set `DENORT_BIN` to its path.
 * @module
 */
import { isAbsolute, join } from "node:path";
import { readModules } from "./house/mod.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/**
 * Bounds V8's space for new objects. By default it grows to 32 MB and stays that large after a
 * pull.
 */
export const V8_FLAGS = ["--max-semi-space-size=2", "--expose-gc"];

interface DenoConfig {
  readonly workspace?: unknown;
  readonly [key: string]: unknown;
}

/** Every module that is started as a Worker, as paths from the root. */
export function workerModules(): readonly string[] {
  const workers = readModules(new URL("../", import.meta.url), ["cmd", "lib"])
    .flatMap(({ imports }) => imports)
    .filter(({ kind }) => kind === "worker")
    .map(({ target }) => target as string);
  return [...new Set(workers)].sort();
}

/**
 * Compiles the binary. @returns the output of `deno compile`.
 * @throws Error if it fails, for example because the base runtime cannot be downloaded.
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
    // A copy, so that versions stay locked. Deno drops packages from it that are not in the import
    // map.
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
