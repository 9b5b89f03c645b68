import {
  FileError,
  readTextIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";
import { bootId, OsError } from "../../host/os/mod.ts";
import { ErofsUnusableError, probeErofs } from "./erofs_probe.ts";

/**
 * How layers are shown: `fuse` answers everything from our own tree, on any kernel; `erofs` gives
 * the kernel an image of the tree and answers only reads.
 */
export type Face = "fuse" | "erofs";

/** The requested face; `auto` means `erofs` if this kernel supports it. */
export type FaceWish = Face | "auto";

/** What was chosen, and why. */
export interface FaceChoice {
  /** How layers are shown from now on. */
  readonly face: Face;
  /** Why, in a few words, for `status` and the log. */
  readonly reason: string;
}

/**
 * Chooses by a self-test, at the first start after each boot (a running kernel does not change).
 * @param options.testedFile records that the kernel has passed.
 * @param options.mountHelper makes the mounts of the test, see `MountHelper`.
 * @throws ErofsUnusableError when `erofs` is requested but not possible.
 */
export async function chooseFace(
  wish: FaceWish,
  options: {
    readonly mountDirectory: string;
    readonly testedFile: string;
    readonly mountHelper: readonly string[] | null;
  },
): Promise<FaceChoice> {
  const { mountDirectory, testedFile, mountHelper } = options;
  if (wish === "fuse") return { face: "fuse", reason: "asked for" };
  try {
    if (mountDirectory.includes(",")) {
      throw new ErofsUnusableError(`${mountDirectory} has a comma`);
    }
    const boot = bootId();
    if (readTextIfThere(testedFile) !== boot) {
      await probeErofs(`${mountDirectory}/t`, mountHelper);
      remember(testedFile, boot);
    }
    return { face: "erofs", reason: "this kernel passed the self-test" };
  } catch (error) {
    // Deno's own errors have a code: a disk that takes no files for the test is no reason not to start.
    if (
      !(error instanceof ErofsUnusableError || error instanceof OsError ||
        (error instanceof Error && "code" in error))
    ) throw error;
    if (wish === "erofs") {
      throw new ErofsUnusableError(
        `layers cannot be shown by EROFS: ${error.message}`,
        { cause: error },
      );
    }
    return { face: "fuse", reason: error.message };
  }
}

/** A disk that takes nothing costs the next start another test. */
function remember(testedFile: string, boot: string): void {
  try {
    writeWholeSync(testedFile, boot);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
  }
}
