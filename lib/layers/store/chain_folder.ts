/**
 * A chain's own directories as a folder on disk, which overlayfs uses as a lower directory. So
 * there is no mount, nothing to restore after a restart, and the folder goes with its snapshot.
 * @module
 */
import {
  bytePath,
  entryAt,
  linkTarget,
  makeDirectoryOf,
  setAttributes,
  setTime,
  xattrsOf,
} from "../../host/os/mod.ts";
import { putOnDisk } from "../../host/files/mod.ts";
import type {
  ChainDirectory,
  LowerDirectories,
  LowerDirectory,
} from "../tree/mod.ts";
import { DIRECTORY, rootPathOf } from "../tree/mod.ts";
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

  /** Looks up a path in the folder; follows links within it. @throws OsError */
  look(path: string): LowerDirectory | "other" | "missing" {
    const root = bytePath(this.folder);
    const found = rootPathOf(
      path,
      (at) =>
        entryAt(root + at)?.kind === "link" ? linkTarget(root + at) : null,
    );
    if (found === null) return "other";
    const entry = entryAt(root + found);
    if (entry === null) return "missing";
    const { kind, ...attributes } = entry;
    if (kind !== "directory") return "other";
    const facts = { ...attributes, xattrs: xattrsOf(root + found) };
    return { path: found, facts, kind: DIRECTORY.own };
  }
}
