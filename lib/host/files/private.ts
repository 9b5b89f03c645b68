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

/** Made by `mkfs`; present if the folder is the root of a file system. */
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

/** What is at a path, no link followed. */
export interface SeenEntry {
  /** Its owner. */
  readonly uid: number;
  /** Permission bits, with or without those of its kind. */
  readonly mode: number;
  /** Whether it is a symbolic link. */
  readonly isLink: boolean;
}

/**
 * How the folders above a folder are looked at. The runtime takes a permission to read one of them for one to read
 * all that is in it: whoever has none, and has libc, looks by that.
 */
export interface Looks {
  /** Null where nothing is. @throws any error if it cannot be told */
  readonly at: (path: string) => SeenEntry | null;
  /** Where a link leads. */
  readonly linkTarget: (path: string) => string;
}

const BY_RUNTIME: Looks = {
  at: (path) => {
    try {
      const { uid, mode, isSymlink } = Deno.lstatSync(path);
      return { uid: uid!, mode: mode!, isLink: isSymlink };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  },
  linkTarget: Deno.readLinkSync,
};

/**
 * Makes a folder that only root may enter, or makes an existing one private. An existing one must belong
 * to root, nobody else may have been able to put anything into it, and it must be empty or contain one
 * of `marks`: a folder that was opened to others on purpose is left alone.
 *
 * ```
 * missing ────────────────────────────────────► made, 0700
 * root's, 0700 or less ───────────────────────► left as it is
 * root's, open, empty or marked as ours ──────► 0700, and a warning
 * another user's, writable by others, unmarked ► OpenFolderError
 * ```
 *
 * @param path may lead through symbolic links of root's.
 * @param marks names of our files; a folder of ours has at least one of them.
 * @param looks default: by the runtime.
 * @throws OpenFolderError; FileError, as where the disk is read-only and the mode has to change.
 */
export function ensurePrivateFolder(
  path: string,
  marks: readonly string[],
  looks: Looks = BY_RUNTIME,
): void {
  assertLinksOfRoot(path, looks);
  assertFoldersOfRoot(withoutLinks(resolve(path), looks), looks);
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
 * The owner of a symbolic link controls its target, so no link on the path may belong to another user.
 * Call this before links are resolved, because afterwards they cannot be seen.
 * @param looks default: by the runtime.
 * @throws OpenFolderError
 */
export function assertLinksOfRoot(
  path: string,
  looks: Looks = BY_RUNTIME,
): void {
  const seen = new Set<string>();
  const waiting = [path];
  for (const next of waiting) assertLinksOn(next, looks, seen, waiting);
}

/** Checks each link once, and queues its target. */
function assertLinksOn(
  path: string,
  looks: Looks,
  seen: Set<string>,
  waiting: string[],
): void {
  for (const { at, info } of onTheWay(path, looks)) {
    if (!info.isLink || seen.has(at)) continue;
    seen.add(at);
    if (info.uid !== ROOT) {
      throw new OpenFolderError(
        at,
        `is a link that belongs to user ${info.uid}, who says where it leads: name the folder itself`,
      );
    }
    waiting.push(resolve(dirname(at), looks.linkTarget(at)));
  }
}

/**
 * A user who may change a parent folder can replace the folder.
 * @param real a path without links.
 * @throws OpenFolderError
 */
function assertFoldersOfRoot(real: string, looks: Looks): void {
  for (const { at, info } of onTheWay(real, looks)) {
    if (at === real) return;
    const { mode } = info;
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

/** The existing part of a path, from the top. @throws FileError */
function* onTheWay(path: string, looks: Looks) {
  const above: string[] = [];
  for (let at = resolve(path);; at = dirname(at)) {
    above.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const at of above) {
    let info: SeenEntry | null;
    try {
      info = looks.at(at);
    } catch (cause) {
      throw new FileError("read", at, cause);
    }
    if (info === null) return; // we make the rest
    yield { at, info };
  }
}

/** The path with what exists of it resolved. */
function withoutLinks(path: string, looks: Looks): string {
  if (onTheWay(path, looks).every(({ info }) => !info.isLink)) return path;
  try {
    return Deno.realPathSync(path);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) {
      throw new FileError("read", path, cause);
    }
    return join(withoutLinks(dirname(path), looks), basename(path));
  }
}
