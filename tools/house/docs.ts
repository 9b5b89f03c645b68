/**
 * `deno task docs`: checks that every public name of every room has a doc comment. It runs `deno
 * doc --lint` over all `mod.ts` at once, so that a room may show another room's types. The lint
 * also refuses types that no `mod.ts` exports. Types of npm packages are exempt: they are public in
 * their package, but `deno doc` does not know that.
 * @module
 */
import type { Module } from "./facts.ts";
import { PRODUCT, readModules, ROOT } from "./mod.ts";

/**
 * One finding, such as `lib/host/os/errno.ts:19: exported symbol is missing JSDoc documentation`.
 */
export type DocFinding = string;

/**
 * Parses the output of `deno doc --lint`.
 * @param output without colours.
 * @param root the repository's root, as a path that ends with a slash.
 */
export function docFindings(
  output: string,
  root: string,
  modules: readonly Module[],
): readonly DocFinding[] {
  const found: DocFinding[] = [];
  const entries = output.matchAll(
    /^error\[([\w-]+)\]: (.*)\n\s*--> (.*?):(\d+):\d+$/gm,
  );
  for (const [, code, words = "", path = "", line] of entries) {
    if (!path.startsWith(root)) continue; // a package's own
    const file = path.slice(root.length);
    const type = words.match(/references private type '(.*)'$/)?.[1];
    if (code === "private-type-ref" && isOfPackage(type, file, modules)) {
      continue;
    }
    found.push(`${file}:${line}: ${words}`);
  }
  return found;
}

/** Whether a file has a type from an npm package. */
function isOfPackage(
  type: string | undefined,
  file: string,
  modules: readonly Module[],
): boolean {
  const imports = modules.find(({ path }) => path === file)?.imports ?? [];
  return imports.some(({ target, names }) =>
    target === null && type !== undefined && names?.includes(type)
  );
}

if (import.meta.main) {
  const modules = readModules(ROOT, PRODUCT);
  const doors = modules.map(({ path }) => path)
    .filter((path) => path.endsWith("/mod.ts") && path.startsWith("lib/"));
  const root = ROOT.pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...doors],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const output = new TextDecoder().decode(stdout) +
    new TextDecoder().decode(stderr);
  const findings = docFindings(output, root, modules);
  for (const one of findings) console.error(one);
  if (code !== 0 && !output.includes("error[")) {
    console.error(output); // it failed before it checked anything
    Deno.exit(1);
  }
  console.log(`${doors.length} doors, ${findings.length} findings`);
  Deno.exit(findings.length === 0 ? 0 : 1);
}
