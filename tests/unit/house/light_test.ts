import assert from "node:assert/strict";
import {
  type Module,
  PRODUCT,
  readModules,
  ROOT,
} from "../../../tools/house/mod.ts";

const modules = new Map<string, Module>(
  readModules(ROOT, PRODUCT).map((module) => [module.path, module]),
);

/** What a module loads that is not of this repository, itself and by all that it imports. */
function loadedFromElsewhere(entry: string): string[] {
  const found = new Set<string>();
  const seen = new Set([entry]);
  for (const path of seen) {
    for (const { kind, specifier, target } of modules.get(path)!.imports) {
      if (kind === "worker") continue; // an isolate of its own
      if (target === null) found.add(`${specifier} by ${path}`);
      else seen.add(target);
    }
  }
  return [...found];
}

for (
  const entry of ["lib/layers/fs/worker.ts", "cmd/mount_helper_process.ts"]
) {
  Deno.test(`${entry} loads no module of Node and no package: the first takes MBs of memory`, () => {
    assert.ok(modules.has(entry));
    assert.deepEqual(loadedFromElsewhere(entry), []);
  });
}
