import type { Face } from "../../../lib/layers/faces/mod.ts";
import { testUnless } from "../test_unless.ts";
import { erofsRefusal } from "./mount.ts";

const refusal = await erofsRefusal();

/**
 * Registers a test once for each face that this kernel supports, for promises that hold for every face.
 * @param missing what else this machine lacks for it; null for nothing.
 */
export function onEveryFace(
  name: string,
  fn: (face: Face) => Promise<void>,
  missing: string | null = null,
): void {
  for (const face of ["fuse", "erofs"] as const) {
    testUnless(missing ?? (face === "erofs" ? refusal : null), {
      name: `${name} (${face})`,
      fn: () => fn(face),
    });
  }
}
