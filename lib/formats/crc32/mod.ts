/**
 * CRC-32 for isolates that may never need it, or anything else of Node: the first module of Node that an
 * isolate loads takes 2 to 4 MB (docs/performance.md), so `node:zlib` is loaded by the first call here.
 * Where it is loaded anyway, import it as usual.
 * @module
 */

/** What Node's own namespace has for programs that load one of its modules late. */
interface Node {
  getBuiltinModule(name: "node:zlib"): typeof import("node:zlib");
}

let zlib: typeof import("node:zlib") | undefined;

/**
 * The checksum of bytes, 0 to 2^32 - 1.
 * @param before the checksum of what lies before them, if anything does.
 */
export function crc32(bytes: Uint8Array, before = 0): number {
  const { process } = globalThis as unknown as { process: Node };
  zlib ??= process.getBuiltinModule("node:zlib");
  return zlib.crc32(bytes, before) >>> 0;
}
