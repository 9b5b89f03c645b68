/**
 * CRC-32 for isolates that may never need it, or anything else of Node: the first module of Node that an
 * isolate loads takes 2 to 4 MB (docs/performance.md), so `node:zlib` is loaded by the first call here.
 * Where it is loaded anyway, import it as usual.
 * @module
 */

/** Of `node:zlib`. */
interface Zlib {
  crc32(bytes: Uint8Array, before: number): number;
}
/** Of Node's global: for programs that load one of its modules late. */
interface NodeProcess {
  getBuiltinModule(name: "node:zlib"): Zlib;
}

let zlib: Zlib | undefined;

/**
 * The checksum of bytes, 0 to 2^32 - 1.
 * @param before the checksum of what lies before them, if anything does.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  zlib ??= (globalThis as unknown as { process: NodeProcess }).process
    .getBuiltinModule("node:zlib");
  return zlib.crc32(bytes, before) >>> 0;
}
