/** What a bundle of this program needs beyond what a bundler does by itself. @module */
import type { Plugin } from "esbuild";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import type { Rewrite } from "./direct_imports.ts";
import { entryName } from "./starts.ts";

/** `new URL("./worker.ts", import.meta.url)`: how this program names a file beside a module. */
const OWN_FILE = /new URL\(\s*"(\.[^"]+)"\s*,\s*import\.meta\.url\s*,?\s*\)/g;

/**
 * Two things:
 *
 * - A module that names another file by its own address lies elsewhere in the bundle. The name is changed to
 *   that of the file there, and a file that is not there is an error.
 * - CommonJS packages `require` what is built into the runtime, which ES modules cannot. They get it from
 *   `process.getBuiltinModule`, at the moment they ask.
 * @param root where the sources lie.
 * @param starts the modules that the bundle has as files of their own, as paths from the root.
 * @param rewrite changes each module before that.
 */
export function ownFiles(
  root: string,
  starts: ReadonlySet<string>,
  rewrite: Rewrite,
): Plugin {
  return {
    name: "own-files",
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        if (path.includes("/node_modules/")) return undefined;
        const text = rewrite(
          relative(root, path),
          await Deno.readTextFile(path),
        );
        const contents = text.replaceAll(
          OWN_FILE,
          (_, target: string) =>
            `new URL("./${
              nameOf(relative(root, path), target, starts)
            }", import.meta.url)`,
        );
        return { contents, loader: "ts" };
      });
      build.onResolve({ filter: /.*/ }, ({ path, kind }) => {
        const name = path.replace(/^node:/, "");
        if (!BUILTIN.has(name)) return undefined;
        return kind === "require-call"
          ? { path: name, namespace: "builtin" }
          : { path: `node:${name}`, external: true };
      });
      build.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
        contents: `module.exports = process.getBuiltinModule("node:${path}");`,
        loader: "js",
      }));
    },
  };
}

/** Those that the product and its packages use; an unknown one ends the build. */
const BUILTIN = new Set(builtinModules);

function nameOf(
  path: string,
  target: string,
  starts: ReadonlySet<string>,
): string {
  const file = join(dirname(path), target);
  if (file === "deno.json") return file;
  if (starts.has(file)) return entryName(file);
  throw new Error(
    `${path} names ${file} by its address: the bundle lacks that file`,
  );
}
