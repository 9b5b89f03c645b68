/**
 * Directories that a chain needs above its layers.
 *
 * An archive may have an entry for `home/u/file` and none for `home/u`. Unpacking then makes the
 * directory with the facts (mode, owner, attributes) it has in the layers below. These facts belong
 * to the chain, not to the layer, because many chains share a layer. So a chain that needs it gets
 * a small tree of just these directories and their parents, mounted above its layers. overlayfs
 * takes a directory's facts from the uppermost layer that has it, and its entries from all layers.
 * A directory that the layers hide or delete must not be in the tree: it would appear again.
 * @module
 */
import { ACCESS_ACL, accessAcl, DEFAULT_ACL } from "./acl.ts";
import { latin1 } from "./entry_path.ts";
import { DIRECTORY } from "./format.ts";
import { S } from "./modes.ts";
import type { Inode, LayerTree } from "./tree.ts";

/** A directory's own metadata. */
export interface DirectoryFacts {
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Owner. */
  readonly uid: number;
  /** Owning group. */
  readonly gid: number;
  /** The modification time, seconds since 1970. */
  readonly mtimeSeconds: number;
  /** Nanoseconds of that second. */
  readonly mtimeNanos: number;
  /** By name, a string with one character per byte. Without the host's own (`trusted.*`). */
  readonly xattrs: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A directory that is shown above a chain's layers. */
export interface ChainDirectory {
  /** A string with one character per byte; empty for the root. */
  readonly name: string;
  /** Its metadata. */
  readonly facts: DirectoryFacts;
  /** The directories in it, in no particular order. */
  readonly children: readonly ChainDirectory[];
}

/** A directory of a lower layer. */
export interface LowerDirectory {
  /** Its clean absolute path there, without links. */
  readonly path: string;
  /** As that layer alone has them. */
  readonly facts: DirectoryFacts;
  /** A `DIRECTORY` value: where its facts come from. */
  readonly kind: number;
}

/** A lower layer, as unpacking sees it. */
export interface LowerDirectories {
  /**
   * Looks up a clean absolute path and follows links within the layer. `other`: not a directory.
   */
  look(path: string): LowerDirectory | "other" | "missing";
}

/** A chain without its uppermost layer. */
export interface ChainBelow {
  /** The directories shown above that shorter chain. */
  readonly listed: ChainDirectory | null;
  /** Its layers, uppermost first. */
  readonly lower: readonly LowerDirectories[];
  /**
   * Where the root directory's facts come from. `image`: from the uppermost layer with an entry for
   * it. `container`: mode 0755 and owner root, as in containerd, which ignores such entries.
   */
  readonly root: "image" | "container";
}

/** The chain is larger than that of any real image. It is left to containerd. */
export class ChainTooLargeError extends Error {
  static {
    this.prototype.name = "ChainTooLargeError";
  }
}

/** The most bytes of paths looked up in lower layers. */
const MAX_PATH_BYTES = 2 ** 24;
/** The most directories for one chain. */
const MAX_DIRECTORIES = 20_000;
const OPAQUE = new TextEncoder().encode("trusted.overlay.opaque");
const TRUSTED = "trusted.";
const S_ISGID = 0o2000;

/** The facts that containerd gives a container's root directory. */
const CONTAINER_ROOT = { mode: 0o755, uid: 0, gid: 0, xattrs: new Map() };

/** A directory's facts in its own layer's tree. */
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

/** Whether this layer may make a chain need directories of its own. */
export function mayInherit(tree: LayerTree): boolean {
  return tree.inherits || !alike(factsAt(tree, 0), CONTAINER_ROOT);
}

/**
 * Works out the directories of a chain whose uppermost layer is `top`.
 * @returns null if the layers alone are right.
 * @throws ChainTooLargeError
 */
export function chainDirectories(
  top: LayerTree,
  below: ChainBelow,
): ChainDirectory | null {
  return new ChainWalk(top, below).root();
}

/** A directory of the uppermost layer, and what is known about it. */
interface Place {
  readonly inode: Inode;
  readonly path: string;
  /** The same directory in the shorter chain's `listed`. */
  readonly listed: ChainDirectory | null;
  /** The lower layers that have its parent directory, uppermost first. */
  readonly lower: readonly LowerDirectories[];
  /** The facts its parent was made with, if the parent has no entry. */
  readonly implied: DirectoryFacts | null;
  /** Whether the lower layers are visible there. */
  readonly seen: boolean;
}

/**
 * The facts of a directory without an entry, or whose entry came late.
 * @param own its kind, and what its layer alone says.
 * @param below what the layers below have; null if it is new.
 * @param parent the facts that the directory it is in was made with, if that has no entry.
 */
function inheriting(
  { kind, facts }: Pick<LowerDirectory, "kind" | "facts">,
  below: DirectoryFacts | null,
  parent: DirectoryFacts | null,
): DirectoryFacts {
  const made = madeIn(parent, facts);
  const implied = kind === DIRECTORY.implied;
  return withMode({
    ...(implied ? below ?? made : facts),
    // In the order in which unpacking sets them.
    xattrs: new Map([
      ...made.xattrs,
      ...below?.xattrs ?? [],
      ...(implied ? [] : facts.xattrs),
    ]),
  });
}

/** Adjusts a directory's access ACL to its mode, as setting the mode does. */
function withMode(facts: DirectoryFacts): DirectoryFacts {
  const acl = facts.xattrs.get(ACCESS_ACL);
  if (acl === undefined) return facts;
  const xattrs = new Map(facts.xattrs);
  const settled = accessAcl(acl, facts.mode);
  if (settled === null) xattrs.delete(ACCESS_ACL);
  else xattrs.set(ACCESS_ACL, settled);
  return { ...facts, xattrs };
}

/**
 * The facts of a new directory: it inherits its parent's default ACL, and its group if that has the
 * setgid bit.
 */
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
  /** By inode: whether the directory, or one below it, inherits facts. */
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
      const below = lower[0]?.look("/");
      const inherited = listed?.facts ??
        (typeof below === "object" ? below.facts : shown);
      facts = own ? shown : inherited;
      wanted = !alike(facts, shown) || facts.mtimeNanos !== shown.mtimeNanos ||
        facts.mtimeSeconds !== shown.mtimeSeconds;
    }
    // Unpacking makes the root itself, and hands nothing on from it.
    const children = this.#children({
      ...{ inode: 0, path: "", listed, lower, implied: null, seen: true },
    });
    return wanted || children.length > 0 ? { name: "", facts, children } : null;
  }

  #directory(name: string, place: Place): ChainDirectory | null {
    const { inode, listed } = place;
    const shown = factsAt(this.#top, inode);
    const kind = this.#top.factsOf(inode);
    const own = kind === DIRECTORY.own;
    const found = this.#look(place.path, place.lower, !own);
    const facts = own ? shown : inheriting(
      { kind, facts: shown },
      listed?.facts ?? found.nearest,
      place.implied,
    );
    const implied = kind === DIRECTORY.implied ? facts : null;
    const children = this.#children({ ...place, lower: found.alive, implied });
    if (children.length === 0 && alike(facts, shown)) return null;
    return this.#node({ name, facts, children });
  }

  /** The directories to show in a directory that the uppermost layer has. */
  #children(place: Place): ChainDirectory[] {
    const { inode, path, lower, implied } = place;
    const top = this.#top;
    // An opaque directory hides what is below it, though unpacking looks there for facts. overlayfs
    // ignores the mark of a layer's root.
    const seen = place.seen &&
      (inode === 0 || top.findXattr(inode, OPAQUE, 0, OPAQUE.length) < 0);
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
      before.delete(name); // if it is not a directory here, it hides the lower one
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

  /** The lower layers' facts of a path, and the layers to ask about what is in it. */
  #look(
    path: string,
    lower: readonly LowerDirectories[],
    wanted: boolean,
  ): { nearest: DirectoryFacts | null; alive: LowerDirectories[] } {
    const alive: LowerDirectories[] = [];
    let nearest: DirectoryFacts | null = null;
    for (const layer of lower) {
      const found = this.#lookIn(layer, path);
      if (found === "missing") continue;
      // Unpacking stops at the first layer in which the path is a file.
      if (found === "other") break;
      if (wanted) nearest ??= this.#unpacked(layer, found);
      alive.push(layer);
    }
    return { nearest, alive };
  }

  #lookIn(
    layer: LowerDirectories,
    path: string,
  ): LowerDirectory | "other" | "missing" {
    this.#pathBytes += path.length;
    if (this.#pathBytes > MAX_PATH_BYTES) {
      throw new ChainTooLargeError(
        "too many directories have no entry of their own",
      );
    }
    return layer.look(path);
  }

  /** The facts that unpacking gave a lower layer's directory, which may have had no entry either. */
  #unpacked(layer: LowerDirectories, found: LowerDirectory): DirectoryFacts {
    if (found.kind === DIRECTORY.own) return found.facts;
    const { lower } = this.#below;
    for (let i = lower.indexOf(layer) + 1; i < lower.length; i++) {
      const next = lower[i] as LowerDirectories;
      const below = this.#lookIn(next, found.path);
      if (below === "missing") continue;
      if (below === "other") break;
      return inheriting(found, this.#unpacked(next, below), null);
    }
    const above = found.path.slice(0, found.path.lastIndexOf("/"));
    if (above === "") return found.facts;
    const parent = this.#lookIn(layer, above);
    return typeof parent === "object" && parent.kind === DIRECTORY.implied
      ? inheriting(found, null, this.#unpacked(layer, parent))
      : found.facts;
  }
}

/** Whether two directories have the same facts, apart from their times. */
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

/** By inode: whether the directory, or one below it, inherits facts. */
function relevantDirectories(tree: LayerTree): Uint8Array {
  const relevant = new Uint8Array(tree.inodes);
  if (!tree.inherits) return relevant;
  // Inodes are numbered breadth first, so a directory's children come after it.
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
