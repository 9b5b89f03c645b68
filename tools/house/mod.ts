/**
 * `deno task house`: reads every module of the product and holds the rules of the house against them:
 * the order of the wings, no circles, rooms entered by their `mod.ts`, pure formats, short files,
 * no exports for nobody.
 * Prints what each room imports, the long files, and what does not hold; ends with 1 when a rule is
 * broken. A test does the same.
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
/** What the product is made of. */
export const PRODUCT: readonly string[] = ["main.ts", "cmd", "lib"];

/** What else uses the product's modules. */
export const BESIDE: readonly string[] = ["tests", "tools"];

/** The import map of the product alone. */
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
