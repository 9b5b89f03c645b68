/**
 * Paths inside a layer whose directories may be symbolic links, taken as containerd takes them when it
 * unpacks: each link is followed within the layer, `..` and absolute targets end at its root, and what
 * does not exist is taken by its name. Nothing outside of the layer is ever looked at.
 *
 * Paths are texts of one character a byte.
 * @module
 */

/** Links that one path may lead through, as in containerd. */
const MAX_LINKS = 255;

/** A path leads through too many links, or in a circle. */
export class TooManyLinksError extends Error {
  static {
    this.prototype.name = "TooManyLinksError";
  }
}

/** Target of the symbolic link at a clean absolute path; null when there is none. */
export type ReadLink = (path: string) => string | null;

/** The path without `.`, `..`, doubled and closing slashes: by its text alone, whatever it names. */
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
 * The clean absolute path that `path` leads to.
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

/** The same; null where the path leads through too many links, or in a circle. */
export function rootPathOf(path: string, readLink: ReadLink): string | null {
  try {
    return rootPath(path, readLink);
  } catch (error) {
    if (error instanceof TooManyLinksError) return null;
    throw error;
  }
}

/** Follows each directory on the way by one link; the caller asks again until none is left. */
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
