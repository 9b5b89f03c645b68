/** Where state is kept: one rule for `--root` in every command. @module */
import { basename, dirname, join, resolve } from "node:path";
import { UsageError } from "./command.ts";
import { givenRoot } from "./given.ts";

/** The same as the existing daemon's, so that a host can switch by changing the binary. */
export const DEFAULT_ROOT = "/var/lib/soci-snapshotter-grpc";

/** Where `mount` keeps what is its own. */
export const MOUNT_ROOT = "/var/lib/soci-deno/mount";

/**
 * The folder of the daemon and the index tools: `--root`, else SOCI_SNAPSHOTTER_ROOT, else the
 * default. @throws UsageError
 */
export function daemonRoot(flag: string | undefined): string {
  return givenRoot() ?? rootFolder(
    flag ?? (Deno.env.get("SOCI_SNAPSHOTTER_ROOT") || DEFAULT_ROOT),
  );
}

/** The folder of `mount`. @throws UsageError */
export function mountRoot(flag: string | undefined): string {
  return (flag === "" ? null : givenRoot()) ?? rootFolder(flag ?? MOUNT_ROOT);
}

/**
 * Makes a root absolute, normalized and free of symbolic links; all code below the command line uses
 * this form. Another process may be started in another folder or through another link, and the kernel
 * lists mounts by the resolved path.
 * @throws UsageError
 */
export function rootFolder(text: string): string {
  if (text === "") throw new UsageError("--root: the name is empty");
  const root = withoutLinks(resolve(text));
  if (root === "/") throw new UsageError("--root must be a folder of its own");
  return root;
}

/** What exists of a path decides; the rest is made later. */
function withoutLinks(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) || path === "/") throw error;
    return join(withoutLinks(dirname(path)), basename(path));
  }
}
