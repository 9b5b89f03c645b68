import {
  ERRNO,
  FsContext,
  LOWER_FLAGS,
  mountElsewhere,
  OsError,
  readWholeFile,
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
  /**
   * Who may enter: only `root`, or every user that the image's own modes allow. For `root` a directory
   * of mode 0700 lies on top, so `target` itself shows that mode and owner instead of the image's.
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
    /** A folder of our own, among the layers or not. */
    readonly empty: string,
  ) {}

  /**
   * Mounts layers. A layer that is named several times is used once, at its uppermost place: overlayfs
   * refuses duplicates, and a lower copy would show nothing new. The calls may wait for our own FUSE
   * Workers, so they run on another thread.
   * @throws OverlayError
   */
  static async mount(
    { directories, target, access }: OverlayOptions,
  ): Promise<OverlayMount> {
    const layers = [...new Set(directories.toReversed())];
    OverlayMount.assertStackable(layers.length);
    const empty = Deno.makeTempDirSync({ prefix: "soci-deno-empty-" }); // 0700
    try {
      // Overlay takes mode and owner of a directory from the topmost lower one that has it, and wants
      // at least two lower ones when there is no upper one.
      const lower = access === "root"
        ? [empty, ...layers]
        : layers.length < 2
        ? [...layers, empty]
        : layers;
      if (!await mountByCalls(lower, target)) {
        await mountByOptions(lower, target);
      }
      return new OverlayMount(target, empty);
    } catch (error) {
      Deno.removeSync(empty);
      throw error;
    }
  }

  /** Whether so many different layers can be stacked. @throws OverlayError */
  static assertStackable(layers: number): void {
    if (layers <= MAX_LOWER_DIRECTORIES) return;
    throw new OverlayError(
      `the image has ${layers} different layers, overlayfs takes ${MAX_LOWER_DIRECTORIES}; build it with fewer`,
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
    Deno.removeSync(this.empty);
  }
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
