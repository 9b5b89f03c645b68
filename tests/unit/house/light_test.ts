import assert from "node:assert/strict";
import process from "node:process";
import { type CommandEntry, COMMANDS } from "../../../cmd/mod.ts";
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

Deno.test("loading a command works out no digest: Node's module for that takes 15 ms", async () => {
  const asked: string[] = [];
  const { getBuiltinModule } = process;
  const loadAll = async (
    commands: readonly CommandEntry[],
  ): Promise<number> => {
    let count = 0;
    for (const entry of commands) {
      if ("commands" in entry) count += await loadAll(entry.commands);
      else if (await entry.load() !== undefined) count++;
    }
    return count;
  };
  process.getBuiltinModule = ((name: string) => {
    asked.push(name);
    return getBuiltinModule.call(process, name);
  }) as typeof getBuiltinModule;
  try {
    assert.ok(await loadAll(COMMANDS) > 30);
  } finally {
    process.getBuiltinModule = getBuiltinModule;
  }
  assert.deepEqual(asked, []);
});
