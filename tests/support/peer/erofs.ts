import { type CommandResult, tryRun } from "../host/mod.ts";
import {
  LIBRARY_FOLDER,
  LOADER,
  newerPackage,
  type NewerRelease,
  type NotHere,
} from "./debian.ts";

/** The libraries of fsck.erofs and dump.erofs, used instead of the system's. */
const LIBRARIES = [
  ...["libc6", "libselinux1", "libpcre2-8-0", "liblz4-1", "liblzma5"],
  ...["libdeflate0", "libzstd1", "libxxhash0", "libssl3t64", "zlib1g"],
];
/** The tools of EROFS's own authors. */
export interface ErofsUtils {
  /** Runs `fsck.erofs`, which judges an image. */
  fsck(...args: string[]): Promise<CommandResult>;
  /** Runs `dump.erofs`, which shows one. */
  dump(...args: string[]): Promise<CommandResult>;
}

/**
 * Gets the EROFS tools of a newer release: those of this release do not support images with
 * devices.
 */
export async function erofsUtils(
  release: NewerRelease = "trixie",
): Promise<ErofsUtils | NotHere> {
  const found = await newerPackage("erofs-utils", release, LIBRARIES);
  if ("reason" in found) return found;
  const libraries = `${found.folder}/${LIBRARY_FOLDER}`;
  // Their C library is newer than the system's, so their own loader must start them.
  const call = (tool: string) => (...args: string[]) =>
    tryRun(`${libraries}/${LOADER}`, [
      ...["--library-path", libraries],
      ...[`${found.folder}/usr/bin/${tool}`, ...args],
    ], { timeoutMs: 60_000 });
  return { fsck: call("fsck.erofs"), dump: call("dump.erofs") };
}
