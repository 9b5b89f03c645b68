import { run } from "../host/mod.ts";
import {
  LIBRARY_FOLDER,
  LOADER,
  newerPackage,
  type NewerRelease,
  type NotHere,
} from "./debian.ts";

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

/**
 * Gets a newer runc; its path. containerd 2 wants one that can map mounts (1.2 and later) for pods with
 * user namespaces.
 */
export async function newerRunc(): Promise<{ path: string } | NotHere> {
  const found = await newerPackage("runc", "sid", ["libc6", "libseccomp2"]);
  if ("reason" in found) return found;
  const libraries = `${found.folder}/${LIBRARY_FOLDER}`;
  const path = `${found.folder}/runc`;
  try {
    await Deno.stat(path);
  } catch {
    // It starts itself again, so it has to find its C library without help.
    const draft = await Deno.makeTempFile({ dir: found.folder });
    await Deno.copyFile(`${found.folder}/usr/sbin/runc`, draft);
    await Deno.chmod(draft, 0o755);
    await run("patchelf", [
      ...["--set-interpreter", `${libraries}/${LOADER}`],
      ...["--force-rpath", "--set-rpath", libraries, draft],
    ]);
    await Deno.rename(draft, path);
  }
  return { path };
}
