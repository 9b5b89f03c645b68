/** How the product is started: the engine's flags, which are the same for every way of starting. @module */

/**
 * Bounds V8's space for new objects, which by default grows to 32 MB and stays that large after a pull; and lets
 * the program collect garbage when it is idle. They must be there when the process starts: a program cannot set
 * them for itself.
 */
export const V8_FLAGS: readonly string[] = [
  "--max-semi-space-size=2",
  "--expose-gc",
];

/** A shell script that starts the bundle beside it with the Deno of this machine. */
export function launcher(): string {
  return `#!/bin/sh
# Starts soci-deno from this folder. DENO names another Deno than the one on the path.
here=$0
[ ! -L "$0" ] || here=$(readlink -f -- "$0") # each program that is started here takes a millisecond of every start
case $here in */*) ;; *) here=./$here ;; esac
here=$(CDPATH= cd -- "\${here%/*}/" && pwd -P)
# A link of the existing tools' names acts as they do.
case \${0##*/} in soci | soci-snapshotter-grpc) set -- "\${0##*/}" "$@" ;; esac
exec "\${DENO:-deno}" run --no-check --no-prompt --quiet --no-remote --unstable-worker-options \\
  --config "$here/deno.json" --v8-flags=${V8_FLAGS.join(",")} -P=binary \\
  "$here/main.js" "$@"
`;
}
