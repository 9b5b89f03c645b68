import {
  ERRNO,
  LOWER_FLAGS,
  mountElsewhere,
  OsError,
  unmount,
} from "../os/mod.ts";

/** The kernel takes one page of mount options. */
const MAX_OPTIONS_BYTES = 4095;

/** How layers are joined. */
export interface OverlayOptions {
  /** The layers' directories, bottom first. */
  readonly directories: readonly string[];
  /** An existing directory. */
  readonly target: string;
  /**
   * Who may enter: `root` alone, or whoever the image's own modes let in. For `root` a directory of
   * mode 0700 lies on top, so `target` itself shows that mode and owner instead of the image's.
   */
  readonly access: "root" | "all";
}

/**
 * Mounts layers over one another, read-only, without effect of setuid bits and device nodes. The
 * call may wait for our own FUSE Workers, so it runs off this thread.
 * @throws Error with what to do next
 */
export async function mountOverlay(
  { directories, target, access }: OverlayOptions,
): Promise<void> {
  const layers = [...directories].reverse();
  // Overlay takes mode and owner of a directory from the topmost lower one that has it, and wants
  // at least two lower ones when there is no upper one.
  const lower = access === "root"
    ? [emptyDirectory(target), ...layers]
    : layers.length === 1
    ? [...layers, emptyDirectory(target)]
    : layers;
  const options = `lowerdir=${lower.map(escapePath).join(":")}`;
  try {
    if (options.length > MAX_OPTIONS_BYTES) {
      throw new RangeError(
        `${directories.length} layers need ${options.length} bytes of overlay options, the kernel takes ${MAX_OPTIONS_BYTES}; use a shorter --root`,
      );
    }
    const mounted = await mountElsewhere({
      source: "soci-deno",
      target,
      type: "overlay",
      flags: LOWER_FLAGS,
      data: options,
    });
    if (!mounted) {
      throw new Error(
        `overlay cannot be mounted on ${target}; the kernel's log (dmesg) says why`,
      );
    }
  } catch (error) {
    dropEmptyDirectory(target);
    throw error;
  }
}

/** Of mode 0700. */
function emptyDirectory(target: string): string {
  const path = Deno.makeTempDirSync({ prefix: "soci-deno-empty-" });
  EMPTY.set(target, path);
  return path;
}

function dropEmptyDirectory(target: string): void {
  const empty = EMPTY.get(target);
  if (empty === undefined) return;
  EMPTY.delete(target);
  Deno.removeSync(empty);
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
  dropEmptyDirectory(target);
}

/** Overlay splits at colons and drops backslashes. */
function escapePath(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`);
}
