/**
 * Debian packages that tests and the quickstart use, installed if they are missing.
 * @module
 */

/** A package, and a program in it. */
export type DebianPackage = readonly [name: string, program: string];

const SEARCH_PATH = [
  "/usr/local/sbin",
  "/usr/local/bin",
  "/usr/sbin",
  "/usr/bin",
  "/sbin",
  "/bin",
];

/** Whether a program is installed. @param program a path, or a name to look up. */
export function isPresent(program: string): boolean {
  const candidates = program.startsWith("/")
    ? [program]
    : SEARCH_PATH.map((folder) => `${folder}/${program}`);
  return candidates.some((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false; // not here; the next folder may have it
    }
  });
}

/**
 * Installs missing packages.
 * @returns the names that are still missing, because we are not root, this is not Debian, or apt
 * failed.
 */
export function installPackages(
  packages: readonly DebianPackage[],
): readonly string[] {
  const missing = packages.filter(([, program]) => !isPresent(program))
    .map(([name]) => name);
  if (missing.length === 0) return [];
  if (!isPresent("apt-get") || Deno.uid() !== 0) return missing;
  console.error(`installing ${missing.join(" ")}`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const commands = [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", ...missing],
  ];
  for (const args of commands) {
    const { success } = new Deno.Command("apt-get", {
      args,
      env,
      stdout: "null",
    }).outputSync();
    if (!success) console.error(`apt-get ${args.join(" ")} failed`);
  }
  return packages.filter(([, program]) => !isPresent(program))
    .map(([name]) => name);
}
