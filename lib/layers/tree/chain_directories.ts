/**
 * Directories that the layers of a chain imply.
 *
 * An archive may name `home/u/file` and no `home/u`. Unpacking then makes the directory as it is in the
 * layers below, so what it looks like belongs to the chain and not to the layer, which many chains
 * share. So each chain that needs it gets a small directory tree, shown above its layers, with just
 * those directories and the ones they are in: overlay takes mode, owner and attributes of a directory
 * from the uppermost layer that has it, and its entries from all. Nothing is listed that the layers
 * hide or delete: it would appear again.
 * @module
 */
import { ACCESS_ACL, accessAcl, DEFAULT_ACL } from "./acl.ts";
import { latin1 } from "./entry_path.ts";
import { DIRECTORY } from "./format.ts";
import { S } from "./modes.ts";
import type { Inode, LayerTree } from "./tree.ts";

/** What a directory shows of itself. */
export interface DirectoryFacts {
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Owning group. */
  readonly gid: number;
  /** Of the last change, seconds since 1970. */
  readonly mtimeSeconds: number;
  /** Nanoseconds of that second. */
  readonly mtimeNanos: number;
  /** Names as text of one character a byte; none of the host's own (`trusted.*`). */
  readonly xattrs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A directory of a chain that is shown above its layers. */
export interface ChainDirectory {
  /** As text of one character a byte; empty for the root. */
  readonly name: string;
  /** What it shows of itself. */
  readonly facts: DirectoryFacts;
  /** In it, in no order. */
  readonly children: readonly ChainDirectory[];
}

/** A layer below, as unpacking looks at it. */
export interface LowerDirectories {
  /**
   * What there is at a clean absolute path, links in it followed within the layer. `other`: something
   * that is no directory.
   */
  look(path: string): DirectoryFacts | "other" | "missing";
}

/** What a chain is made of, but for its uppermost layer. */
export interface ChainBelow {
  /** What is shown above the chain without that layer. */
  readonly listed: ChainDirectory | null;
  /** Its layers, nearest first. */
  readonly lower: readonly LowerDirectories[];
  /**
   * What the root directory shows. `image`: what the uppermost layer says that has an entry for it.
   * `container`: as containerd, which passes over such entries, mode 0755 and owner root.
   */
  readonly root: "image" | "container";
}

/** More of it than any image has: such a chain is left to containerd. */
export class ChainTooLargeError extends Error {
  static {
    this.prototype.name = "ChainTooLargeError";
  }
}

/** Bytes of paths looked up in layers below. */
const MAX_PATH_BYTES = 2 ** 24;
/** Directories of one chain. */
const MAX_DIRECTORIES = 20_000;
const OPAQUE = new TextEncoder().encode("trusted.overlay.opaque");
const TRUSTED = "trusted.";
const S_ISGID = 0o2000;

/** What containerd gives the root directory of a container. */
const CONTAINER_ROOT = { mode: 0o755, uid: 0, gid: 0, xattrs: new Map() };

/** The facts of a directory of a layer, as its own tree has them. */
export function factsAt(tree: LayerTree, inode: Inode): DirectoryFacts {
  const xattrs = new Map<string, Uint8Array<ArrayBuffer>>();
  for (let i = 0; i < tree.xattrCount(inode); i++) {
    const key = latin1(tree.xattrKey(inode, i));
    if (!key.startsWith(TRUSTED)) {
      xattrs.set(key, new Uint8Array(tree.xattrValue(inode, i)));
    }
  }
  return {
    mode: (tree.mode[inode] as number) & ~S.IFMT,
    uid: tree.uid[inode] as number,
    gid: tree.gid[inode] as number,
    mtimeSeconds: tree.mtimeSeconds[inode] as number,
    mtimeNanos: tree.mtimeNanos[inode] as number,
    xattrs,
  };
}

/** Whether a chain may need directories of its own because of this layer. */
export function mayInherit(tree: LayerTree): boolean {
  return tree.inherits || !alike(factsAt(tree, 0), CONTAINER_ROOT);
}

/**
 * The directories of a chain, whose uppermost layer is `top`.
 * @returns null when the layers show all that is right.
 * @throws ChainTooLargeError
 */
export function chainDirectories(
  top: LayerTree,
  below: ChainBelow,
): ChainDirectory | null {
  return new ChainWalk(top, below).root();
}

/** A directory of the uppermost layer that is looked at. */
interface Place {
  readonly inode: Inode;
  readonly path: string;
  /** The same directory among those of the chain without that layer. */
  readonly listed: ChainDirectory | null;
  /** Layers below that have the directory it is in, nearest first. */
  readonly lower: readonly LowerDirectories[];
  /** What the directory it is in was made with, when that has no entry. */
  readonly implied: DirectoryFacts | null;
  /** Whether the layers below are seen there. */
  readonly seen: boolean;
}

/** What a new directory has of the one it is made in: by its setgid bit the group, its default ACL. */
function madeIn(
  parent: DirectoryFacts | null,
  shown: DirectoryFacts,
): DirectoryFacts {
  if (parent === null) return shown;
  const gid = (parent.mode & S_ISGID) === 0 ? shown.gid : parent.gid;
  const acl = parent.xattrs.get(DEFAULT_ACL);
  if (acl === undefined) return { ...shown, gid };
  const xattrs = new Map(shown.xattrs).set(DEFAULT_ACL, acl);
  const access = accessAcl(acl, shown.mode);
  if (access !== null) xattrs.set(ACCESS_ACL, access);
  return { ...shown, gid, xattrs };
}

class ChainWalk {
  readonly #top: LayerTree;
  readonly #below: ChainBelow;
  /** Inodes of directories with something to look at in or below them. */
  readonly #relevant: Uint8Array;
  #pathBytes = 0;
  #listed = 0;

  constructor(top: LayerTree, below: ChainBelow) {
    this.#top = top;
    this.#below = below;
    this.#relevant = relevantDirectories(top);
  }

  root(): ChainDirectory | null {
    const { listed, lower, root } = this.#below;
    const shown = factsAt(this.#top, 0);
    let facts: DirectoryFacts;
    let wanted: boolean;
    if (root === "container") {
      facts = { ...shown, ...CONTAINER_ROOT };
      wanted = !alike(facts, shown);
    } else {
      const own = this.#top.factsOf(0) === DIRECTORY.own;
      const inherited = listed?.facts ?? lower[0]?.look("/");
      facts = own || typeof inherited !== "object" ? shown : inherited;
      wanted = !alike(facts, shown) || facts.mtimeNanos !== shown.mtimeNanos ||
        facts.mtimeSeconds !== shown.mtimeSeconds;
    }
    const made = this.#top.factsOf(0) === DIRECTORY.own ? null : facts;
    const children = this.#children({
      ...{ inode: 0, path: "", listed, lower, implied: made, seen: true },
    });
    return wanted || children.length > 0 ? { name: "", facts, children } : null;
  }

  #directory(name: string, place: Place): ChainDirectory | null {
    const { inode, listed } = place;
    const shown = factsAt(this.#top, inode);
    const kind = this.#top.factsOf(inode);
    const own = kind === DIRECTORY.own;
    const found = this.#look(place.path, place.lower, !own);
    const inherited = listed?.facts ?? found.nearest;
    const facts = own
      ? shown
      : inherited === null
      ? madeIn(place.implied, shown)
      : kind === DIRECTORY.implied
      ? inherited
      : { ...shown, xattrs: new Map([...inherited.xattrs, ...shown.xattrs]) };
    const implied = kind === DIRECTORY.implied ? facts : null;
    const children = this.#children({ ...place, lower: found.alive, implied });
    if (children.length === 0 && alike(facts, shown)) return null;
    return this.#node({ name, facts, children });
  }

  /** What is shown above in a directory that the uppermost layer has. */
  #children(place: Place): ChainDirectory[] {
    const { inode, path, lower, implied } = place;
    const top = this.#top;
    // What is below an opaque directory is not seen, though unpacking looks at it.
    const seen = place.seen &&
      top.findXattr(inode, OPAQUE, 0, OPAQUE.length) < 0;
    const before = new Map(
      place.listed?.children.map((child) => [child.name, child]),
    );
    const children: ChainDirectory[] = [];
    const first = top.first[inode] as number;
    const end = first + (top.count[inode] as number);
    for (let dirent = first; dirent < end; dirent++) {
      const child = top.direntInode[dirent] as number;
      const isDirectory = top.isDirectory(child);
      const isRelevant = isDirectory && this.#relevant[child] !== 0;
      if (before.size === 0 && !isRelevant) continue;
      const offset = top.nameOffset[dirent] as number;
      const name = latin1(
        top.names.subarray(offset, offset + (top.nameLength[dirent] as number)),
      );
      const known = before.get(name) ?? null;
      before.delete(name); // what is no directory here hides it
      if (!isRelevant && !(isDirectory && seen && known !== null)) continue;
      const made = this.#directory(name, {
        inode: child,
        path: `${path}/${name}`,
        listed: known,
        lower,
        implied,
        seen,
      });
      if (made !== null) children.push(made);
    }
    if (!seen) return children;
    for (const child of before.values()) children.push(this.#kept(child));
    return children;
  }

  #kept(directory: ChainDirectory): ChainDirectory {
    this.#node(directory);
    for (const child of directory.children) this.#kept(child);
    return directory;
  }

  #node(directory: ChainDirectory): ChainDirectory {
    if (++this.#listed > MAX_DIRECTORIES) {
      throw new ChainTooLargeError(
        `more than ${MAX_DIRECTORIES} directories have no entry of their own`,
      );
    }
    return directory;
  }

  /** What the layers below say of a path, and which of them may say something of what is in it. */
  #look(
    path: string,
    lower: readonly LowerDirectories[],
    wanted: boolean,
  ): { nearest: DirectoryFacts | null; alive: LowerDirectories[] } {
    const alive: LowerDirectories[] = [];
    let nearest: DirectoryFacts | null = null;
    for (const layer of lower) {
      this.#pathBytes += path.length;
      if (this.#pathBytes > MAX_PATH_BYTES) {
        throw new ChainTooLargeError(
          "too many directories have no entry of their own",
        );
      }
      const found = layer.look(path);
      if (found === "missing") continue;
      // Where the path ends in a file, unpacking looks no further down.
      if (found === "other") break;
      if (wanted) nearest ??= found;
      alive.push(layer);
    }
    return { nearest, alive };
  }
}

/** Whether two directories show the same, whenever they were changed. */
function alike(
  a: DirectoryFacts,
  b: Omit<DirectoryFacts, "mtimeSeconds" | "mtimeNanos">,
): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  if (a.xattrs.size !== b.xattrs.size) return false;
  for (const [key, value] of a.xattrs) {
    const other = b.xattrs.get(key);
    if (
      other === undefined || other.length !== value.length ||
      !other.every((byte, i) => byte === value[i])
    ) return false;
  }
  return true;
}

/** Directories that inherit facts, and all that they are in. */
function relevantDirectories(tree: LayerTree): Uint8Array {
  const relevant = new Uint8Array(tree.inodes);
  if (!tree.inherits) return relevant;
  // Inodes are numbered breadth first: what is in a directory comes behind it.
  for (let inode = tree.inodes - 1; inode >= 0; inode--) {
    if (!tree.isDirectory(inode)) continue;
    if (tree.factsOf(inode) !== DIRECTORY.own) relevant[inode] = 1;
    const first = tree.first[inode] as number;
    const end = first + (tree.count[inode] as number);
    for (let dirent = first; dirent < end && !relevant[inode]; dirent++) {
      relevant[inode] = relevant[tree.direntInode[dirent] as number] as number;
    }
  }
  return relevant;
}
