/**
 * Resolves paths in a layer as containerd does when it unpacks. Links are followed within the
 * layer. `..` and absolute targets cannot leave its root. A component that does not exist is kept
 * as it is. Nothing outside the layer is ever accessed.
 *
 * Paths are strings with one character per byte.
 * @module
 */

/** The most links that one path may lead through, as in containerd. */
const MAX_LINKS = 255;

/** A path leads through too many links, or in a circle. */
export class TooManyLinksError extends Error {
  static {
    this.prototype.name = "TooManyLinksError";
  }
}

/** Gives the target of the symbolic link at a clean absolute path; null if there is none. */
export type ReadLink = (path: string) => string | null;

/** Cleans a path lexically: removes `.`, `..`, double and trailing slashes. */
export function cleanPath(path: string): string {
  const absolute = path.startsWith("/");
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== ".." || (!absolute && (kept.at(-1) ?? "..") === "..")) {
      kept.push(part);
    } else kept.pop();
  }
  const text = kept.join("/");
  return absolute ? `/${text}` : text === "" ? "." : text;
}

const join = (directory: string, path: string): string =>
  cleanPath(`${directory}/${path}`);

/**
 * Resolves `path` to a clean absolute path without links.
 * @throws TooManyLinksError
 */
export function rootPath(path: string, readLink: ReadLink): string {
  const walk = new LinkWalk(readLink);
  for (let at = path === "" ? "/" : path;;) {
    const before = walk.links;
    const found = walk.path(at);
    if (walk.links !== before) {
      at = found;
      continue;
    }
    const absolute = join("/", found);
    if (absolute === found) return found;
    at = absolute;
  }
}

/** Like {@linkcode rootPath}, but null if the path leads through too many links or in a circle. */
export function rootPathOf(path: string, readLink: ReadLink): string | null {
  try {
    return rootPath(path, readLink);
  } catch (error) {
    if (error instanceof TooManyLinksError) return null;
    throw error;
  }
}

/**
 * One pass over a path that follows one link per component. The caller repeats it until no link is
 * left.
 */
class LinkWalk {
  links = 0;
  readonly #readLink: ReadLink;

  constructor(readLink: ReadLink) {
    this.#readLink = readLink;
  }

  path(path: string): string {
    const slash = path.lastIndexOf("/") + 1;
    const directory = path.slice(0, slash);
    const name = path.slice(slash);
    if (directory === "") return this.#link(name) ?? join("/", name);
    if (name === "") {
      return directory === "/" ? "/" : this.path(directory.slice(0, -1));
    }
    const above = this.path(directory);
    const here = join("/", join(above, name));
    const target = this.#link(here);
    if (target === null) return here;
    return target.startsWith("/") ? target : join(above, target);
  }

  #link(path: string): string | null {
    if (this.links > MAX_LINKS) {
      throw new TooManyLinksError("too many symbolic links on the way");
    }
    const absolute = join("/", path);
    const target = absolute === "/" ? null : this.#readLink(absolute);
    if (target !== null) this.links++;
    return target;
  }
}
