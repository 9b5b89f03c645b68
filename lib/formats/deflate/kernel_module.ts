/**
 * The kernel, compiled once per isolate. Its bytes are a module like any other: `deno compile` does
 * not follow an `import source` of a Wasm file, and a binary made so would lack its kernel.
 * @module
 */
import { KERNEL_BASE64 } from "./kernel.gen.ts";

/** Instantiated by each engine: an instance has a memory of its own. */
export const kernelModule: WebAssembly.Module = new WebAssembly.Module(
  Uint8Array.fromBase64(KERNEL_BASE64),
);
