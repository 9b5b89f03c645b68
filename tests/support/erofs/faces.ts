import type { Face } from "../../../lib/layers/faces/mod.ts";
import { erofsRefusal } from "./mount.ts";

const refusal = await erofsRefusal();
if (refusal !== null) console.log(`no EROFS face here: ${refusal}`);

/** A test of a promise that holds however layers are shown: one for each face this kernel has. */
export function onEveryFace(
  name: string,
  fn: (face: Face) => Promise<void>,
): void {
  for (const face of ["fuse", "erofs"] as const) {
    Deno.test({
      name: `${name} (${face})`,
      fn: () => fn(face),
      ignore: face === "erofs" && refusal !== null,
    });
  }
}
