/**
 * `deno task build:kernel`: compiles `kernel/inflate.as.ts` to `kernel.wasm`. The same source gives
 * the same bytes everywhere; a test compiles it again and compares.
 * @module
 */
import asc from "assemblyscript/asc";

const FOLDER = new URL("./", import.meta.url);
const MEMORY_PAGES = 100;

/** The kernel's bytes, compiled from its source. @throws Error with the compiler's words. */
export async function compileKernel(): Promise<Uint8Array> {
  const source = await Deno.readTextFile(
    new URL("kernel/inflate.as.ts", FOLDER),
  );
  let binary: Uint8Array | null = null;
  const { error, stderr } = await asc.main([
    "inflate.ts",
    "--outFile",
    "kernel.wasm",
    "-O3",
    "--converge",
    "--noAssert",
    "--runtime",
    "stub",
    "--enable",
    "simd",
    "--enable",
    "bulk-memory",
    "--initialMemory",
    String(MEMORY_PAGES),
    "--maximumMemory",
    String(MEMORY_PAGES),
  ], {
    readFile: (name: string) => name === "inflate.ts" ? source : null,
    writeFile: (_name: string, bytes: Uint8Array | string) => {
      if (bytes instanceof Uint8Array) binary = bytes;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === null) {
    throw new Error(`the kernel does not compile:\n${stderr.toString()}`);
  }
  return binary;
}

if (import.meta.main) {
  await Deno.writeFile(new URL("kernel.wasm", FOLDER), await compileKernel());
}
