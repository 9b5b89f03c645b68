/** What is started as a program of its own: the command line, the mount helper, and every Worker. @module */
import { type Module, readModules } from "../house/mod.ts";

/** The repository, with a slash at its end. */
export const ROOT: string = new URL("../../", import.meta.url).pathname;

/** The program. */
const PROGRAM = "main.ts";
/** What `cmd/program.ts` starts. */
const HELPER = "cmd/mount_helper_process.ts";

/** All modules of the product. */
export function productModules(): readonly Module[] {
  return readModules(new URL("../../", import.meta.url), [
    ...["cmd", "lib", PROGRAM],
  ]);
}

/** Every module that is started as a Worker, as paths from the root. */
export function workerModules(
  modules: readonly Module[] = productModules(),
): readonly string[] {
  const workers = modules.flatMap(({ imports }) => imports)
    .filter(({ kind }) => kind === "worker")
    .map(({ target }) => target as string);
  return [...new Set(workers)].sort();
}

/** Every module that is started, the program first, as paths from the root. */
export function startModules(
  modules: readonly Module[] = productModules(),
): readonly string[] {
  return [PROGRAM, HELPER, ...workerModules(modules)];
}

/** The name of such a module in the bundle, where all lie in one folder: `layers.fs.worker.js`. */
export function entryName(path: string): string {
  return path.replace(/^(lib|cmd)\//, "").replaceAll("/", ".")
    .replace(/\.ts$/, ".js");
}
