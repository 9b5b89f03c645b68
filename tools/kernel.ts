/**
 * `deno task build:kernel`: compiles the inflate kernel of `lib/formats/deflate`
 * (`kernel/inflate.as.ts`) to Wasm and writes it to `kernel.gen.ts`. The same source gives the same
 * bytes everywhere. A test compiles it again and compares.
 * @module
 */
import asc from "assemblyscript/asc";

const ROOM = new URL("../lib/formats/deflate/", import.meta.url);
const MEMORY_PAGES = 100;

/** Compiles the kernel from its source. @throws Error with the compiler's output. */
export async function compileKernel(): Promise<Uint8Array> {
  const source = await Deno.readTextFile(
    new URL("kernel/inflate.as.ts", ROOM),
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

/** The generated module that holds the kernel. */
export function kernelSource(kernel: Uint8Array): string {
  return `// Made by \`deno task build:kernel\` from kernel/inflate.as.ts.
/** The Wasm module in base64. */
export const KERNEL_BASE64: string =
  "${kernel.toBase64()}";
`;
}

if (import.meta.main) {
  await Deno.writeTextFile(
    new URL("kernel.gen.ts", ROOM),
    kernelSource(await compileKernel()),
  );
}
