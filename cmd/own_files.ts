/** Where this program's modules lie. @module */
import { dirname } from "node:path";

/** The folder of the modules, of the bundle, or the one that the compiled program shows them in. */
export const OWN_FILES: string = dirname(
  new URL("../deno.json", import.meta.url).pathname,
);
