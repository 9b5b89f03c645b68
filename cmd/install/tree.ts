/** The files of a host, or of a host's tree elsewhere, as root changes them. @module */
import { dirname } from "node:path";
import {
  FileError,
  putOnDisk,
  readIfThere,
  removeIfThere,
  writeWhole,
} from "../../lib/host/files/mod.ts";

/** A file or folder that cannot be trusted, or is none; the message is for people. */
export class TreeError extends Error {
  override readonly name = "TreeError";
}

const MAX_FILE_BYTES = 2 ** 20;
const OTHERS_WRITE = 0o022;
const ROOT = 0;

/** Put behind the name of a file while it is written. One that is found was left by a kill. */
export const DRAFT = ".soci-deno-new";

/**
 * Files below a folder that stands for `/`. A folder that a link leads to, or that others than root can write, is not
 * used: whoever controls it could have root write elsewhere.
 */
export class Tree {
  /** @param root empty for this host; else an absolute path without links */
  constructor(readonly root: string) {}

  /** Where a path of the tree is on this host. */
  at(path: string): string {
    return `${this.root}${path}`;
  }

  /** A file's text; null where there is none. @throws TreeError, FileError */
  read(path: string): string | null {
    if (!this.#holds(dirname(path))) return null;
    const info = infoOf(this.at(path));
    if (info === null) return null;
    if (!info.isFile) {
      throw new TreeError(
        `${
          this.at(path)
        } is no plain file: put one in its place, or change it by hand`,
      );
    }
    if (info.size > MAX_FILE_BYTES) {
      throw new TreeError(`${this.at(path)} has more than 1 MiB`);
    }
    const bytes = readIfThere(this.at(path));
    try {
      return bytes && new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
        .decode(bytes);
    } catch {
      throw new TreeError(`${this.at(path)} is not written in UTF-8`);
    }
  }

  /** A file's permissions; null where there is none. */
  mode(path: string): number | null {
    const mode = infoOf(this.at(path))?.mode;
    return mode === undefined || mode === null ? null : mode & 0o777;
  }

  /** Whether something has this name, a link too, wherever it leads. */
  has(path: string): boolean {
    return infoOf(this.at(path)) !== null;
  }

  /** Where a link leads; null where there is none. */
  link(path: string): string | null {
    try {
      return Deno.readLinkSync(this.at(path));
    } catch {
      return null; // nothing there, or no link
    }
  }

  /**
   * Folders on the way to a file that are not there, the highest first.
   * @param base the highest that may be made.
   */
  missing(path: string, base: string): readonly string[] {
    const folders: string[] = [];
    for (let at = dirname(path); at.length >= base.length; at = dirname(at)) {
      if (!this.#holds(at)) folders.unshift(at);
    }
    return folders;
  }

  /** Makes a folder, unless it is there. @throws TreeError, FileError */
  make(folder: string): void {
    if (this.#holds(folder)) return;
    const at = this.at(folder);
    try {
      Deno.mkdirSync(at, { mode: 0o755 });
      Deno.chmodSync(at, 0o755);
    } catch (cause) {
      throw new FileError("write", at, cause);
    }
    this.#holds(folder);
  }

  /** Puts a file in place, whole and on disk. @throws TreeError, FileError */
  async write(path: string, text: string, mode: number): Promise<void> {
    const at = this.at(path);
    if (!this.#holds(dirname(path))) {
      throw new TreeError(`${this.at(dirname(path))} is not there`);
    }
    removeIfThere(`${at}${DRAFT}`);
    await writeWhole(at, text, {
      ...{ draftPath: `${at}${DRAFT}`, mode, sync: "data" },
    });
    await putOnDisk(dirname(at));
  }

  /** Removes a file, unless there is none. @throws TreeError, FileError */
  async remove(path: string): Promise<void> {
    if (!this.#holds(dirname(path))) return;
    removeIfThere(`${this.at(path)}${DRAFT}`);
    if (removeIfThere(this.at(path))) await putOnDisk(dirname(this.at(path)));
  }

  /** Removes a folder if it is there and empty. */
  removeEmpty(folder: string): void {
    try {
      Deno.removeSync(this.at(folder));
    } catch {
      // Something else is in it, or it is gone.
    }
  }

  /** Whether a folder is there and can be trusted. @throws TreeError */
  #holds(folder: string): boolean {
    const at = this.at(folder);
    const info = infoOf(at);
    if (info === null) return false;
    const real = info.isDirectory ? Deno.realPathSync(at) : null;
    if (real !== at) {
      throw new TreeError(
        `${at} is ${
          real === null ? "no folder" : `reached through a link (it is ${real})`
        }: nothing is written there`,
      );
    }
    if (info.uid !== ROOT || ((info.mode ?? 0) & OTHERS_WRITE) !== 0) {
      throw new TreeError(
        `${at} belongs to user ${info.uid} with mode 0${
          ((info.mode ?? 0) & 0o7777).toString(8)
        }: root alone must be able to write there`,
      );
    }
    return true;
  }
}

/** @throws FileError */
function infoOf(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (cause) {
    if (
      cause instanceof Deno.errors.NotFound ||
      cause instanceof Deno.errors.NotADirectory
    ) return null;
    throw new FileError("read", path, cause);
  }
}
