/** Where libc is, and how a Worker is told which of its calls it is to have. Binds nothing itself. @module */

/**
 * Where glibc may be: Debian's folder, then that of Fedora, Red Hat and Amazon Linux, then that of Arch.
 * `--allow-ffi` must name exactly these strings (another path to the same file would be another grant).
 * A bare `libc.so.6` would be looked for in the working directory.
 */
const LIBC_PATHS: readonly string[] = [
  Deno.build.arch === "aarch64"
    ? "/lib/aarch64-linux-gnu/libc.so.6"
    : "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** There is no libc on this host that can be used. */
export class LibcError extends Error {
  override readonly name = "LibcError";
}

/**
 * The first of the paths that can be opened: the others are not there, or not permitted.
 * @param open throws for a path that cannot be opened.
 * @throws LibcError if none can be.
 */
export function chooseLibc(
  paths: readonly string[],
  open: (path: string) => void,
): string {
  const reasons: unknown[] = [];
  for (const path of paths) {
    try {
      open(path);
      return path;
    } catch (error) {
      reasons.push(error);
    }
  }
  const refused = reasons.some((one) => one instanceof Deno.errors.NotCapable);
  throw new LibcError(
    refused
      ? `this process may not call libc: it has no permission for any of ${
        paths.join(", ")
      }`
      : `there is no glibc at ${
        paths.join(", ")
      }: soci-deno serves and mounts on hosts with glibc only, not with musl`,
    { cause: reasons[0] },
  );
}

/** The library's path on this host. */
export const LIBC_PATH: string = chooseLibc(LIBC_PATHS, (path) => {
  // A Worker may open the one that its parent opened; asking for another would show a prompt.
  const { state } = Deno.permissions.querySync({ name: "ffi", path });
  if (state !== "granted") throw new Deno.errors.NotCapable(path);
  Deno.dlopen(path, {}).close();
});

/** How the name of a Worker with few calls begins. */
export const NARROW = "libc alone: ";

/**
 * The name of a Worker that is to have these calls of libc, by their names here, and no others. It cannot open a library later either: the
 * permission is given up once they are here. A Worker's name is all that is there before its modules.
 */
export function nameWithCalls(calls: readonly string[]): string {
  return `${NARROW}${calls.join(" ")}`;
}
