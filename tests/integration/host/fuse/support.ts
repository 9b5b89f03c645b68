/** What the tests of single kernel behaviours share. @module */
import { run } from "../../../support/host/mod.ts";

/** Options of every test here: Workers of a mount outlive the test that started them by a moment. */
export const LOOSE = { sanitizeOps: false, sanitizeResources: false } as const;

/** Runs Python with arguments; its output without the last line's end. @throws Error when it fails */
export async function python(
  program: string,
  ...args: string[]
): Promise<string> {
  const { stdout } = await run("/usr/bin/python3", ["-c", program, ...args], {
    timeoutMs: 60_000,
  });
  return stdout.trimEnd();
}

/**
 * Makes the kernel forget the names and attributes of the mount a layer is shown on, and their pages:
 * a remount does that (`shrink_dcache_sb`), and touches no other mount of the machine.
 */
export async function dropCaches(directory: string): Promise<void> {
  const mountpoint = directory.slice(0, directory.lastIndexOf("/"));
  await run("mount", ["-i", "-o", "remount,ro", mountpoint]);
}
