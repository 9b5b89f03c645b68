import type { FaceWish } from "../lib/layers/faces/mod.ts";
import { UsageError } from "./command.ts";

const FACES: readonly FaceWish[] = ["auto", "fuse", "erofs"];

/** Reads `--face`; null when it is not there. @throws UsageError */
export function parseFace(text: string | undefined): FaceWish | null {
  if (text === undefined) return null;
  const face = FACES.find((known) => known === text);
  if (face === undefined) {
    throw new UsageError(`--face must be ${FACES.join(", ")}, not "${text}"`);
  }
  return face;
}
