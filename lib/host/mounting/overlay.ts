import { removeFolder } from "../files/mod.ts";
import {
  bytePath,
  type DirectoryAttributes,
  ERRNO,
  FsContext,
  isClosedToOthers,
  LOWER_FLAGS,
  mountElsewhere,
  OsError,
  readWholeFile,
  setAttributes,
  setTime,
  unmount,
} from "../os/mod.ts";

/** Lower directories that overlayfs takes (`OVL_MAX_STACK`, fs/overlayfs). */
const MAX_LOWER_DIRECTORIES = 500;
/** mount(2) takes one page of options, and silently cuts off the rest. */
const MAX_OPTIONS_BYTES = 4095;

/** Layers cannot be stacked. The message says what to do. */
export class OverlayError extends Error {
  static {
    this.prototype.name = "OverlayError";
  }
}

/** How layers are joined. */
export interface OverlayOptions {
  /** The layers' directories, bottom first. */
  readonly directories: readonly string[];
  /** An existing directory. */
  readonly target: string;
  /** A folder to be made for the mount, and removed with it; what is there of an earlier one goes. */
  readonly own: string;
  /**
   * Directories that belong above the layers, put into `own`; null when there are none.
   * @throws what it likes: nothing is mounted then.
   */
  readonly fill: ((own: string) => Promise<void>) | null;
  /** What `target` shows of itself. */
  readonly root: DirectoryAttributes;
  /**
   * Who may enter: whoever `root` lets in, or the user root alone.
   *
   * For root alone a directory of mode 0700 lies on top while overlay is mounted. By that overlay goes
   * as long as it is mounted, whatever the directory is given afterwards; but it shows what the
   * directory has. So it is given the attributes of `root` then. Overlay does not promise that, so it
   * is tried, and where others could enter the directory stays as it was.
   */
  readonly access: "root" | "all";
}

/**
 * Stacked layers, read-only and with setuid bits and device nodes disabled, from `mount` until disposal.
 *
 * Made by the kernel's newer mount calls, which take each layer by itself (Linux 6.8), or by mount(2),
 * whose one page of options is enough for some hundred.
 */
export class OverlayMount implements Disposable {
  private constructor(
    /** Where it is. */
    readonly target: string,
    readonly own: string,
  ) {}

  /**
   * Mounts layers. A layer that is named several times is used once, at its uppermost place: overlayfs
   * refuses duplicates, and a lower copy would show nothing new. The calls may wait for our own FUSE
   * Workers, so they run on another thread.
   * @throws OverlayError, OsError
   */
  static async mount(options: OverlayOptions): Promise<OverlayMount> {
    const { directories, target, own, fill, root, access } = options;
    const layers = [...new Set(directories.toReversed())];
    const onTop = fill !== null || access === "root";
    OverlayMount.assertStackable(layers.length, access, fill !== null);
    removeFolder(own);
    Deno.mkdirSync(own, { mode: 0o700 });
    try {
      await fill?.(own);
      if (access === "root") setAttributes(bytePath(own), CLOSED);
      // Overlay takes mode and owner of a directory from the topmost lower one that has it, and wants
      // at least two lower ones when there is no upper one.
      const lower = onTop
        ? [own, ...layers]
        : layers.length < 2
        ? [...layers, own]
        : layers;
      if (!await mountByCalls(lower, target)) {
        await mountByOptions(lower, target);
      }
    } catch (error) {
      removeFolder(own);
      throw error;
    }
    const mount = new OverlayMount(target, own);
    if (access === "root") showClosed(mount, root);
    return mount;
  }

  /**
   * Whether so many different layers can be stacked.
   * @param filled whether there is something to show above them.
   * @throws OverlayError
   */
  static assertStackable(
    layers: number,
    access: OverlayOptions["access"],
    filled = false,
  ): void {
    const most = MAX_LOWER_DIRECTORIES;
    if (layers > most) {
      throw new OverlayError(
        `the image has ${layers} different layers, overlayfs takes ${most}; build it with fewer`,
      );
    }
    if (layers < most || (access === "all" && !filled)) return;
    const hint = filled ? "" : ", or say --allow-other";
    throw new OverlayError(
      `the image has ${layers} different layers, overlayfs takes ${most}, and one is needed above them; build it with fewer${hint}`,
    );
  }

  /** Unmounts. That nothing is mounted any more is fine. @throws OsError */
  [Symbol.dispose](): void {
    try {
      unmount(this.target);
    } catch (error) {
      if (!(error instanceof OsError && error.errno === ERRNO.EINVAL)) {
        throw error;
      }
    }
    removeFolder(this.own);
  }
}

/** Of a directory that nobody but root may enter. */
const CLOSED: DirectoryAttributes = {
  mode: 0o700,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanos: 0,
  xattrs: new Map(),
};

/** Has a mount that is closed to others show the attributes of the image's root directory. */
function showClosed(
  { own, target }: OverlayMount,
  root: DirectoryAttributes,
): void {
  const path = bytePath(own);
  // An ACL would let others in once the mode does not.
  const shown = { ...root, xattrs: new Map() };
  setAttributes(path, shown);
  setTime(path, shown);
  if (isClosedToOthers(target)) return;
  setAttributes(path, CLOSED);
}

/** Uppermost first. @returns false where the kernel does not know how. @throws OverlayError */
async function mountByCalls(
  lower: readonly string[],
  target: string,
): Promise<boolean> {
  using context = FsContext.open("overlay");
  if (context === null) return false;
  await context.set("source", "soci-deno");
  for (const [at, path] of lower.entries()) {
    if (await context.set("lowerdir+", path)) continue;
    const why = context.log();
    // 6.5 to 6.7 have the calls, and no option for a single layer.
    if (at === 0 && /unknown parameter/i.test(why)) return false;
    throw cannot(target, `${path}: ${why}`);
  }
  if (knowsXino()) await context.set("xino", "on");
  if (!await context.mountAt(target)) throw cannot(target, context.log());
  return true;
}

/** Uppermost first. @throws OverlayError */
async function mountByOptions(
  lower: readonly string[],
  target: string,
): Promise<void> {
  const options = [
    `lowerdir=${lower.map(escapePath).join(":")}`,
    ...(knowsXino() ? ["xino=on"] : []),
  ].join(",");
  const bytes = new TextEncoder().encode(options).length;
  if (bytes > MAX_OPTIONS_BYTES) {
    throw new OverlayError(
      `${lower.length} layers need ${bytes} bytes of overlay options, this kernel takes ${MAX_OPTIONS_BYTES}; use a shorter --root, or Linux 6.8`,
    );
  }
  const made = await mountElsewhere({
    source: "soci-deno",
    target,
    type: "overlay",
    flags: LOWER_FLAGS,
    data: options,
  });
  if (!made) throw cannot(target, "");
}

function cannot(target: string, why: string): OverlayError {
  return new OverlayError(
    `overlay cannot be mounted on ${target}: ${
      why === "" ? "the kernel's log (dmesg) says why" : why
    }`,
  );
}

/** Whether overlayfs can give the files of all layers inode numbers of its own (`du -x` counts them). */
function knowsXino(): boolean {
  try {
    readWholeFile("/sys/module/overlay/parameters/xino_auto", 64);
    return true;
  } catch (error) {
    if (error instanceof OsError) return false; // not loaded, or older than 4.17
    throw error;
  }
}

/** Overlay splits at colons and drops backslashes. */
function escapePath(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`);
}
