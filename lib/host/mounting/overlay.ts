import { ERRNO, mountElsewhere, MS, OsError, unmount } from "../os/mod.ts";

/** The kernel takes one page of mount options. */
const MAX_OPTIONS_BYTES = 4095;

/**
 * Mounts layers (bottom first) over one another, read-only. The call may wait for our own FUSE
 * Workers, so it runs off this thread.
 * @throws Error with what to do next
 */
export async function mountOverlay(
  directories: readonly string[],
  target: string,
): Promise<void> {
  // Overlay wants at least two lower directories when there is no upper one.
  const lower = directories.length === 1
    ? [...directories, emptyDirectory(target)]
    : [...directories];
  const options = `lowerdir=${lower.reverse().map(escapePath).join(":")}`;
  if (options.length > MAX_OPTIONS_BYTES) {
    throw new RangeError(
      `${directories.length} layers need ${options.length} bytes of overlay options, the kernel takes ${MAX_OPTIONS_BYTES}; use a shorter --root`,
    );
  }
  const mounted = await mountElsewhere({
    source: "soci-deno",
    target,
    type: "overlay",
    flags: MS.RDONLY,
    data: options,
  });
  if (!mounted) {
    throw new Error(
      `overlay cannot be mounted on ${target}; the kernel's log (dmesg) says why`,
    );
  }
}

function emptyDirectory(target: string): string {
  const path = Deno.makeTempDirSync({ prefix: "soci-deno-empty-" });
  EMPTY.set(target, path);
  return path;
}

const EMPTY = new Map<string, string>();

/** Unmounts what `mountOverlay` mounted. Not being mounted is fine. @throws OsError */
export function unmountOverlay(target: string): void {
  try {
    unmount(target);
  } catch (error) {
    if (!(error instanceof OsError && error.errno === ERRNO.EINVAL)) {
      throw error;
    }
  }
  const empty = EMPTY.get(target);
  if (empty === undefined) return;
  EMPTY.delete(target);
  Deno.removeSync(empty);
}

/** Overlay splits at colons and drops backslashes. */
function escapePath(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`);
}
