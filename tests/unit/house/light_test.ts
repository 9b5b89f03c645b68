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

/** What a module loads that is not of this repository, itself and by all that it imports. @param late whether what it loads when it wants it counts */
function loadedFromElsewhere(entry: string, late = true): string[] {
  const found = new Set<string>();
  const seen = new Set([entry]);
  for (const path of seen) {
    const { imports } = modules.get(path)!;
    for (const { kind, specifier, target, isType } of imports) {
      if (isType || kind === "worker") continue; // an isolate of its own
      if (kind === "dynamic" && !late) continue;
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

/** What the first request of a command to a registry need not wait for. */
const HEAVY =
  /^(?:@grpc|@bufbuild|@logtape|valibot|prom-client|node:http|node:net)/;

for (
  const entry of [
    ...["cmd/pull.ts", "cmd/content/fetch.ts", "cmd/copy.ts"],
    ...["cmd/inspect.ts", "cmd/order/list.ts", "cmd/order/remove.ts"],
  ]
) {
  Deno.test(`${entry} asks its registry before it loads gRPC, protobuf, the configuration or the logs`, () => {
    assert.deepEqual(
      loadedFromElsewhere(entry, false).filter((one) => HEAVY.test(one)),
      [],
    );
  });
}
