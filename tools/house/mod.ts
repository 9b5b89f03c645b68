/**
 * `deno task house`: checks every module of the product against the module rules: the order of the
 * wings, no circles, rooms entered by their `mod.ts`, pure formats, short files, no dead exports.
 * Prints what each room imports, the long files, and the violations. Exits with 1 if there is one.
 * A test checks the same.
 * @module
 */
import { deadExports } from "./dead_exports.ts";
import { readModules } from "./modules.ts";
import { PLAN } from "./plan.ts";
import { report } from "./report.ts";
import { packageViolations, violations } from "./rules.ts";

export type { Export, Import, ImportKind, Module } from "./facts.ts";
export { readModule, readModules } from "./modules.ts";
export { type Narrow, PLAN, type Plan } from "./plan.ts";
export { report } from "./report.ts";
export {
  packageViolations,
  roomGraph,
  roomOf,
  type Violation,
  violations,
} from "./rules.ts";
export { circles, type Graph } from "./circles.ts";
export { deadExports } from "./dead_exports.ts";

/** The repository's root. */
export const ROOT: URL = new URL("../../", import.meta.url);
/** Files and folders of the product. */
export const PRODUCT: readonly string[] = ["main.ts", "cmd", "lib"];

/** Other folders that use the product's modules. */
export const BESIDE: readonly string[] = ["tests", "tools"];

/** The product's own import map. */
export function productPackages(): Readonly<Record<string, string>> {
  return JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).imports;
}

if (import.meta.main) {
  const modules = readModules(ROOT, PRODUCT);
  console.log(report(modules, PLAN));
  const broken = [
    ...violations(modules, PLAN),
    ...packageViolations(modules, productPackages()),
    ...deadExports(modules, readModules(ROOT, BESIDE), PLAN),
  ];
  for (const one of broken) console.error(one);
  Deno.exit(broken.length === 0 ? 0 : 1);
}
