/**
 * Hostile input: everything that reads bytes from a registry or a file, run on changed good inputs.
 * `deno task fuzz [seconds] [target]` searches; inputs that broke a promise are kept in `crashes/`
 * (not committed), and once mended become files of `corpus/<target>/`, which every test run reads.
 * A file there is named for what must become of it: `taken-…` or `refused-…`.
 * @module
 */
export { mutate, type Random, randomFrom } from "./mutate.ts";
export type { Outcome } from "./outcome.ts";
export type { Target } from "./targets.ts";

import type { Outcome } from "./outcome.ts";
import { ORDER_TARGETS } from "./order_targets.ts";
import { type Target, TARGETS as OTHERS } from "./targets.ts";

/** Everything that reads from outside. */
export const TARGETS: readonly Target[] = [...OTHERS, ...ORDER_TARGETS];

const CORPUS = new URL("corpus/", import.meta.url);

/** An input of the corpus. */
export interface SavedInput {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly outcome: Outcome;
}

/** The saved inputs of a target. */
export function savedInputs(target: Target): SavedInput[] {
  try {
    const folder = new URL(`${target.name}/`, CORPUS);
    return [...Deno.readDirSync(folder)]
      .map(({ name }) => name).sort()
      .map((name) => ({
        name,
        bytes: Deno.readFileSync(new URL(name, folder)),
        outcome: name.startsWith("taken-") ? "taken" : "refused",
      }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
