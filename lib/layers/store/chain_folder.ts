/**
 * A chain's own directories as a folder on disk, which overlayfs uses as a lower directory. So
 * there is no mount, nothing to restore after a restart, and the folder goes with its snapshot.
 * @module
 */
import {
  bytePath,
  makeDirectoryOf,
  setAttributes,
  setTime,
  xattrsOf,
} from "../../host/os/mod.ts";
import { putOnDisk } from "../../host/files/mod.ts";
import type {
  ChainDirectory,
  DirectoryFacts,
  LowerDirectories,
} from "../tree/mod.ts";
import { rootPathOf } from "../tree/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");

/**
 * Makes a chain's directories in an empty folder, gives the folder the root's facts, and syncs all
 * to disk.
 * @throws OsError
 */
export async function writeChain(
  root: ChainDirectory,
  folder: string,
): Promise<void> {
  const refused = new Set<string>();
  const made: string[] = [];
  // We make every directory anew, so no link can be in the path.
  const make = (directory: ChainDirectory, path: string): void => {
    for (const refusal of setAttributes(path, directory.facts)) {
      refused.add(refusal);
    }
    for (const child of directory.children) {
      const below = `${path}/${child.name}`;
      makeDirectoryOf(below);
      make(child, below);
    }
    setTime(path, directory.facts);
    made.push(path);
  };
  make(root, bytePath(folder));
  if (refused.size > 0) {
    log.warn("the disk takes not all attributes of directories", {
      folder,
      attributes: [...refused],
    });
  }
  await putOnDisk(folder);
}

/** A lower layer of a chain in a folder: unpacked by containerd, or written by `writeChain`. */
export class FolderLower implements LowerDirectories {
  /** The files below a folder. */
  constructor(
    /** Its root. */
    readonly folder: string,
  ) {}

  /** Looks up a path in the folder; follows links within it. @throws Deno's errors, OsError */
  look(path: string): DirectoryFacts | "other" | "missing" {
    const found = rootPathOf(path, (at) => this.#readLink(at));
    if (found === null) return "other";
    const local = this.#local(found);
    const info = local === null ? null : lstat(local);
    if (local === null || info === null) return "missing";
    if (!info.isDirectory) return "other";
    const ms = info.mtime?.getTime() ?? 0;
    return {
      mode: (info.mode ?? 0) & 0o7777,
      uid: info.uid ?? 0,
      gid: info.gid ?? 0,
      mtimeSeconds: Math.floor(ms / 1000),
      mtimeNanos: (ms % 1000) * 1e6,
      xattrs: xattrsOf(bytePath(local)),
    };
  }

  #readLink(path: string): string | null {
    const local = this.#local(path);
    if (local === null || !lstat(local)?.isSymlink) return null;
    return bytePath(Deno.readLinkSync(local));
  }

  /** Null for names that are not UTF-8: Deno cannot open them. */
  #local(path: string): string | null {
    try {
      const bytes = Uint8Array.from(path, (unit) => unit.charCodeAt(0));
      return this.folder + new TextDecoder("utf-8", { fatal: true }).decode(
        bytes,
      );
    } catch (error) {
      if (error instanceof TypeError) return null;
      throw error;
    }
  }
}

function lstat(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return null;
    throw error;
  }
}
