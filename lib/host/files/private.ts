import { basename, dirname, join, resolve } from "node:path";
import { logger } from "../../telemetry/mod.ts";
import { FileError } from "./errors.ts";
import { namesIn } from "./there.ts";

const log = logger("files");
const PRIVATE = 0o700;
const OTHERS = 0o077;
const WRITABLE_BY_GROUP = 0o020;
const WRITABLE_BY_ALL = 0o002;
const STICKY = 0o1000;
const ROOT = 0;

/** Made by `mkfs` where a file system of its own is mounted for the folder. */
const LOST_AND_FOUND = "lost+found";

/** A folder that other users of the host could enter, or put something into; the message says why. */
export class OpenFolderError extends Error {
  static {
    this.prototype.name = "OpenFolderError";
  }

  /** The message begins with the path. @param why the rest of the sentence. */
  constructor(readonly path: string, why: string) {
    super(`${path} ${why}`);
  }
}

/**
 * Makes a folder that only root enters, or closes one that is there. It is closed when it is root's,
 * nobody else could have put anything into it, and it is empty or has one of `marks` in it: a folder
 * that is open for others' sake is not ours to close.
 *
 * ```
 * missing ────────────────────────────────────► made, 0700
 * root's, 0700 or less ───────────────────────► left as it is
 * root's, open, empty or marked as ours ──────► 0700, and a warning
 * another user's, writable by others, unmarked ► OpenFolderError
 * ```
 *
 * @param path may lead through symbolic links of root's.
 * @param marks names of files of ours, one of which such a folder has.
 * @throws OpenFolderError; FileError, as where the disk is read-only and the mode has to change.
 */
export function ensurePrivateFolder(
  path: string,
  marks: readonly string[],
): void {
  assertLinksOfRoot(path);
  assertFoldersOfRoot(withoutLinks(resolve(path)));
  try {
    Deno.mkdirSync(path, { recursive: true, mode: PRIVATE });
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) {
      throw new FileError("write", path, cause);
    }
    throw new OpenFolderError(path, "is no folder");
  }
  const { uid, gid, mode } = Deno.statSync(path);
  if (uid !== ROOT) {
    throw new OpenFolderError(
      path,
      `belongs to user ${uid}, not to root: take another --root`,
    );
  }
  if ((mode! & OTHERS) === 0) return;
  const octal = `mode 0${(mode! & 0o7777).toString(8)}`;
  const names = namesIn(path).filter((name) => name !== LOST_AND_FOUND);
  const writable = (mode! & WRITABLE_BY_ALL) !== 0 ||
    ((mode! & WRITABLE_BY_GROUP) !== 0 && gid !== ROOT);
  if (writable && ((mode! & STICKY) !== 0 || names.length > 0)) {
    throw new OpenFolderError(
      path,
      `could be written by other users (${octal}), so nothing in it can be trusted: take a folder of root's own for --root`,
    );
  }
  if (names.length > 0 && !names.some((name) => marks.includes(name))) {
    throw new OpenFolderError(
      path,
      `is open to other users (${octal}) and holds ${
        names[0]
      }, which is not soci-deno's: take a folder of its own for --root, or close it (chmod 700)`,
    );
  }
  try {
    Deno.chmodSync(path, PRIVATE);
  } catch (cause) {
    throw new FileError("write", path, cause);
  }
  log.warn(`${path} was open to other users (${octal}) and is closed now`);
}

/**
 * Who owns a symbolic link says where it leads: none on the way may be another user's. To be asked
 * before links are resolved, after which nothing is seen of them.
 * @throws OpenFolderError
 */
export function assertLinksOfRoot(path: string): void {
  const seen = new Set<string>();
  const waiting = [path];
  for (const next of waiting) assertLinksOn(next, seen, waiting);
}

/** Looks at each link once, and leaves where it leads for later. */
function assertLinksOn(
  path: string,
  seen: Set<string>,
  waiting: string[],
): void {
  for (const { at, info } of onTheWay(path)) {
    if (!info.isSymlink || seen.has(at)) continue;
    seen.add(at);
    if (info.uid !== ROOT) {
      throw new OpenFolderError(
        at,
        `is a link that belongs to user ${info.uid}, who says where it leads: name the folder itself`,
      );
    }
    waiting.push(resolve(dirname(at), Deno.readLinkSync(at)));
  }
}

/**
 * Who may change a folder above can put another one in its place.
 * @param real a path without links.
 * @throws OpenFolderError
 */
function assertFoldersOfRoot(real: string): void {
  for (const { at, info } of onTheWay(real)) {
    if (at === real) return;
    const mode = info.mode!;
    if ((mode & WRITABLE_BY_ALL) !== 0 && (mode & STICKY) === 0) {
      throw new OpenFolderError(
        at,
        `can be written by all users, who could put another folder in the place of ${real}: take another --root`,
      );
    }
    if (info.uid !== ROOT) {
      log.warn(
        `${at} belongs to user ${info.uid}, who could put another folder in the place of ${real}`,
      );
    }
  }
}

/** What of a path is there, from the top. @throws FileError */
function* onTheWay(path: string) {
  const above: string[] = [];
  for (let at = resolve(path);; at = dirname(at)) {
    above.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const at of above) {
    try {
      yield { at, info: Deno.lstatSync(at) };
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return; // we make the rest
      throw new FileError("read", at, cause);
    }
  }
}

/** The path with what exists of it resolved. */
function withoutLinks(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) {
      throw new FileError("read", path, cause);
    }
    return join(withoutLinks(dirname(path)), basename(path));
  }
}
