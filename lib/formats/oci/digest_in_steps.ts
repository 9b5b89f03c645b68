import type { Digest } from "./digest.ts";
import { DigestStream } from "./sha256.ts";

/** Bytes that are hashed at a time: about a ms. */
const STEP_BYTES = 2 ** 20;

/**
 * The digest of many bytes that are all here, in steps.
 * @param turn called between two steps: others have their turn until it resolves.
 */
export async function sha256InSteps(
  bytes: Uint8Array,
  turn: () => Promise<void>,
): Promise<Digest> {
  const stream = new DigestStream();
  await updateInSteps(stream, bytes, turn);
  return stream.finish();
}

/**
 * Adds many bytes to a digest, in steps. They must not change until it resolves.
 * @param turn as for `sha256InSteps`.
 */
export async function updateInSteps(
  stream: DigestStream,
  bytes: Uint8Array,
  turn: () => Promise<void>,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += STEP_BYTES) {
    if (at > 0) await turn();
    stream.update(bytes.subarray(at, at + STEP_BYTES));
  }
}
