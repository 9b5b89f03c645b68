/** A Deno for arm64 on a machine of another architecture, by qemu-user. @module */
import { npmProgram, programCache } from "./npm_program.ts";
import { type DebianPackage, installPackages } from "./packages.ts";

/** Where Debian's packages for cross compilers put arm64's libraries. */
const LIBRARIES = "/usr/aarch64-linux-gnu/lib";

const PACKAGES: readonly DebianPackage[] = [
  ["qemu-user", "qemu-aarch64"],
  ["libc6-arm64-cross", `${LIBRARIES}/libc.so.6`],
  ["libgcc-s1-arm64-cross", `${LIBRARIES}/libgcc_s.so.1`],
];

/** The release that runs the tests here, too. */
const VERSION = "2.9.6";
const DENO = {
  name: `@deno/linux-arm64-glibc@${VERSION}`,
  file: "package/deno",
  integrity:
    "poqhoH9B3nYloigEMPT5t8HY+wBeiuea1An5Q7fqgJzP0SYmWsoS/oUnWO/pEiA4ofzIBy1Elt/in58xKtxEoQ==",
};

/**
 * What runs it here, installed where it is missing.
 * @returns program and arguments before Deno's own; or why it cannot run here.
 */
export async function arm64Deno(): Promise<
  { readonly command: readonly string[] } | { readonly reason: string }
> {
  const missing = installPackages(PACKAGES);
  if (missing.length > 0) {
    return { reason: `${missing.join(", ")} cannot be installed here` };
  }
  let deno: string;
  try {
    deno = await npmProgram(DENO, `deno-${VERSION}-arm64`);
  } catch (error) {
    return {
      reason: `${DENO.name} cannot be had: ${(error as Error).message}`,
    };
  }
  const root = `${await programCache()}/arm64-root`;
  const loader = "ld-linux-aarch64.so.1";
  await link(`${LIBRARIES}/${loader}`, `${root}/lib/${loader}`);
  // Where Debian for arm64 has libc.
  await link(LIBRARIES, `${root}/lib/aarch64-linux-gnu`);
  return { command: ["qemu-aarch64", "-L", root, deno] };
}

async function link(target: string, path: string): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  try {
    await Deno.symlink(target, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}
