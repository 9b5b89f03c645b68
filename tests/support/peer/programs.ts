import { debianMirror, unpackPackage } from "./debian.ts";

/** Paths of the existing SOCI tools. */
export interface SociPeer {
  readonly soci: string;
  readonly grpc: string;
}

/** Why the peer is not to be had on this machine. */
export interface NoPeer {
  readonly reason: string;
}

const CACHE = "/var/tmp/soci-deno-peer-trixie";

/** Gets the existing SOCI tools (Debian's 0.4.1), once for all test runs of a machine. */
export async function sociPeer(): Promise<SociPeer | NoPeer> {
  const peer = {
    soci: `${CACHE}/usr/bin/soci`,
    grpc: `${CACHE}/usr/bin/soci-snapshotter-grpc`,
  };
  if (exists(peer.grpc)) return peer;
  const mirror = debianMirror();
  if (mirror === undefined) {
    return { reason: "apt is not configured for a Debian archive" };
  }
  // Unpacked aside and renamed, so that a run that is cut leaves no half of it.
  const aside = await Deno.makeTempDir({ dir: "/var/tmp" });
  await unpackPackage(mirror, "soci-snapshotter", aside);
  try {
    await Deno.rename(aside, CACHE);
  } catch {
    await Deno.remove(aside, { recursive: true }); // another run was faster
  }
  return peer;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false; // not fetched yet
  }
}
