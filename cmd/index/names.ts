/** Which names images have. @module */
import type { ArtifactRecord } from "../../lib/indexes/artifacts/mod.ts";
import type { StoreSession } from "../store_session.ts";

/** containerd's names, by what they stand for; none where containerd is not there. */
export async function imageNames(
  session: StoreSession,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Map<string, string[]>();
  const containerd = await session.containerdIfThere();
  for (const { name, target } of await containerd?.images.list() ?? []) {
    names.set(target.digest, [...names.get(target.digest) ?? [], name]);
  }
  return names;
}

/** The names of an index's image: containerd's, else the one it had when the index was made. */
export function namesOf(
  { imageDigest, imageName }: ArtifactRecord,
  names: ReadonlyMap<string, readonly string[]>,
): readonly (string | null)[] {
  return (imageDigest === null ? undefined : names.get(imageDigest)) ??
    [imageName];
}
