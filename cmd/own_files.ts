/** Where this program's modules lie. @module */
import { dirname } from "node:path";

/** The folder of the modules, of the bundle, or the one that the compiled program shows them in. */
export const OWN_FILES: string = dirname(
  new URL("../deno.json", import.meta.url).pathname,
);

/**
 * Whether the runtime knows all modules from the start, and asks for no permission to load one. Parts of a bundle that
 * are loaded late it does not know.
 */
export const MODULES_ARE_KNOWN: boolean = Deno.build.standalone ||
  import.meta.url.endsWith(".ts");
