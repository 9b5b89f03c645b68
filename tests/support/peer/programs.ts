import { newerPackage, type NewerRelease, type NotHere } from "./debian.ts";

/** Paths of the existing SOCI tools. */
export interface SociPeer {
  readonly soci: string;
  readonly grpc: string;
}

/** Gets the existing SOCI tools (Debian's 0.4.1). */
export async function sociPeer(): Promise<SociPeer | NotHere> {
  const found = await newerPackage("soci-snapshotter", "trixie");
  if ("reason" in found) return found;
  return {
    soci: `${found.folder}/usr/bin/soci`,
    grpc: `${found.folder}/usr/bin/soci-snapshotter-grpc`,
  };
}

const CONTAINERD_RELEASE: Record<"1.7" | "2", NewerRelease> = {
  "1.7": "trixie",
  "2": "sid",
};

/** Gets a newer containerd; its folder is the `binDir` of `startContainerd`. */
export async function newerContainerd(
  version: "1.7" | "2",
): Promise<{ binDir: string } | NotHere> {
  const found = await newerPackage("containerd", CONTAINERD_RELEASE[version]);
  return "reason" in found ? found : { binDir: `${found.folder}/usr/bin` };
}
