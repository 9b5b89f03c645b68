import assert from "node:assert/strict";
import { ManifestError } from "../../lib/formats/oci/mod.ts";

/** What became of an input. */
export type Outcome = "taken" | "refused";

type ErrorClass = abstract new (...args: never[]) => Error;

/** The errors of manifests and image indexes. */
export const MANIFEST_ERRORS: readonly ErrorClass[] = [ManifestError];

/**
 * Runs a reader: one of these errors is a refusal, any other a broken promise. A refusal says in one
 * line what is wrong.
 */
export function taken(
  errors: readonly ErrorClass[],
  read: () => void,
): Outcome {
  try {
    read();
    return "taken";
  } catch (error) {
    if (!errors.some((known) => error instanceof known)) throw error;
    const { message } = error as Error;
    assert.ok(message.length > 5 && message.length < 500, message);
    assert.ok(!message.includes("\n"), message);
    return "refused";
  }
}
