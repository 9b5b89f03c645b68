/**
 * Paths as an archive's entries have them: bytes, not cleaned.
 * @module
 */

/**
 * The entries do not make a tree: a link has no target, a name or path is invalid, or a limit is
 * exceeded.
 */
export class TreeCompileError extends Error {
  static {
    this.prototype.name = "TreeCompileError";
  }

  /** The message names the bad entry. */
  constructor(
    /** The entry's number in the ztoc. */
    readonly entry: number,
    /** What is wrong with it. */
    readonly detail: string,
  ) {
    super(`ztoc entry ${entry}: ${detail}`);
  }
}

/** The deepest directory; more does not fit into the kernel's PATH_MAX. */
const MAX_DEPTH = 2048;
/** NAME_MAX (uapi/linux/limits.h). */
export const MAX_NAME_BYTES = 255;
/** The separator of path components. */
export const SLASH = 0x2f;
const DOT = 0x2e;

/** Whether `bytes[start … end)` begins with the prefix. */
export function startsWith(
  bytes: Uint8Array,
  start: number,
  end: number,
  prefix: Uint8Array,
): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (bytes[start + i] !== prefix[i]) return false;
  }
  return true;
}

/**
 * Splits a path into checked components, as ranges. Skips `.` and empty ones; `..` removes the last
 * one.
 */
export function components(
  path: Uint8Array,
  number: number,
): [number, number][] {
  const found: [number, number][] = [];
  for (let start = 0; start < path.length;) {
    let end = path.indexOf(SLASH, start);
    if (end < 0) end = path.length;
    if (isDots(path, start, end)) {
      if (end - start === 2) found.pop(); // at the root it stays at the root
    } else if (end > start) {
      checkName(path, start, end, number, 0);
      found.push([start, end]);
    }
    start = end + 1;
  }
  if (found.length >= MAX_DEPTH) throw new TreeCompileError(number, "too deep");
  return found;
}

/**
 * Refuses a name that no file system accepts.
 * @param number the entry's place in the ztoc, for the error.
 * @param extra bytes that the name may be longer, for a whiteout's prefix.
 * @throws TreeCompileError
 */
export function checkName(
  path: Uint8Array,
  start: number,
  end: number,
  number: number,
  extra: number,
): void {
  if (end - start > MAX_NAME_BYTES + extra) {
    throw new TreeCompileError(number, "name is longer than 255 bytes");
  }
  for (let i = start; i < end; i++) {
    if (path[i] === 0) {
      throw new TreeCompileError(number, "name holds a zero byte");
    }
  }
}

/** Whether `path[start … end)` is `.` or `..`. */
export function isDots(path: Uint8Array, start: number, end: number): boolean {
  const size = end - start;
  return path[start] === DOT && (size === 1 || size === 2) &&
    path[end - 1] === DOT;
}

/** Bytes as a string with one character per byte. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

/** The bytes of a string with one character per byte. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Where a path ends without its closing slashes. */
export function trimmedEnd(path: Uint8Array): number {
  let end = path.length;
  while (end > 0 && path[end - 1] === SLASH) end--;
  return end;
}

/** Where the last component of `path[0 … end)` begins. */
export function lastComponent(path: Uint8Array, end: number): number {
  let start = end;
  while (start > 0 && path[start - 1] !== SLASH) start--;
  return start;
}

/** Whether two paths begin with the same `length` bytes. */
export function sameStart(
  a: Uint8Array,
  b: Uint8Array,
  length: number,
): boolean {
  // Compare from the end: neighbours in a tar differ there.
  for (let i = length - 1; i >= 0; i--) {
    if (a[i] !== b[i]) return false;
  }
  return true;
}
