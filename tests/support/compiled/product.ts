/** The product as one file, for tests and benchmarks. @module */
import { type Bundle, bundle } from "../../../tools/binary/bundle.ts";
import { compile } from "../../../tools/binary/compile.ts";
import { type Tried, tryBinary } from "../../../tools/binary/trial.ts";
import type { Runtime } from "./runtime.ts";

/** Loaded before each part of the program where the runtime's HTTP/2 needs it. */
const HELP = "http2_over_tcp.js";

/**
 * Bundles and compiles the product and runs its first commands.
 * @param binary where to write it.
 * @param folder where to write the bundle.
 * @throws Error if it does not work.
 */
export async function compileProduct(
  runtime: Runtime,
  binary: string,
  folder: string,
): Promise<{ made: Bundle; tried: Tried }> {
  const made = await bundle(folder);
  if (runtime.needsTcp) {
    await Deno.copyFile(
      new URL(HELP, import.meta.url),
      `${folder}/${HELP}`,
    );
    for (const name of made.starts) {
      const text = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(
        `${folder}/${name}`,
        `import "./${HELP}";${text}`,
      );
    }
  }
  await compile(binary, {
    made,
    deno: runtime.deno,
    baseRuntime: runtime.baseRuntime,
  });
  const tried = await tryBinary(binary, made.version, Deno.build.arch);
  return { made, tried };
}
