/**
 * Hostile input: everything that reads bytes from a registry or a file, run on changed good inputs.
 * `deno task fuzz [seconds] [target]` searches; inputs that broke a promise are kept in `crashes/`
 * (not committed), and once mended become files of `corpus/<target>/`, which every test run reads.
 * @module
 */
export { mutate, type Random, randomFrom } from "./mutate.ts";
export type { Outcome } from "./outcome.ts";
export { type Target, TARGETS } from "./targets.ts";

import type { Target } from "./targets.ts";

const CORPUS = new URL("corpus/", import.meta.url);

/** The saved inputs of a target. */
export function savedInputs(target: Target): Uint8Array[] {
  try {
    const folder = new URL(`${target.name}/`, CORPUS);
    return [...Deno.readDirSync(folder)]
      .map(({ name }) => name).sort()
      .map((name) => Deno.readFileSync(new URL(name, folder)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
