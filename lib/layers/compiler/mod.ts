/**
 * Compiles a ztoc's entries into a layer's tree: the binary that `layers/tree` reads. It is a room of its
 * own so that the Workers that answer the kernel, which only read trees, do not load it.
 *
 * Bytes in, bytes out, no I/O. It must not know the kernel's protocol, nor which of a layer's bytes
 * are cached.
 * @module
 */
export { compileTree, TreeCheck, type TreeInput } from "./compile.ts";
