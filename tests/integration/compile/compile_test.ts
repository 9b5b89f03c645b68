import assert from "node:assert/strict";
import { COMMANDS } from "../../../cmd/mod.ts";
import { compile, workerModules } from "../../../tools/compile.ts";
import { permissionSets, tryRun } from "../../support/host/mod.ts";

const ROOT = new URL("../../../", import.meta.url);

/** Whether `needle` occurs in the file at `path`. */
async function holds(path: string, needle: Uint8Array): Promise<boolean> {
  const { code } = await tryRun("python3", [
    "-c",
    "import sys, mmap\n" +
    "with open(sys.argv[1], 'rb') as f, open(sys.argv[2], 'rb') as n:\n" +
    "    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)\n" +
    "    sys.exit(0 if m.find(n.read()) >= 0 else 3)",
    path,
    await tempFile(needle),
  ], { timeoutMs: 60_000 });
  return code === 0;
}

async function tempFile(bytes: Uint8Array): Promise<string> {
  const path = await Deno.makeTempFile({ prefix: "soci-deno-needle-" });
  await Deno.writeFile(path, bytes);
  return path;
}

Deno.test("the compiled binary holds every Worker, the inflate kernel and nothing of the tests", async () => {
  const workers = workerModules();
  assert.ok(workers.includes("lib/layers/fs/worker.ts"), String(workers));
  assert.ok(
    workers.includes("lib/layers/spans/inflate_worker.ts"),
    String(workers),
  );
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-compiled-" });
  const before = Deno.env.get("DENORT_BIN");
  try {
    // Any Deno executable lets the file be written; what is looked at is the graph inside.
    Deno.env.set("DENORT_BIN", Deno.execPath());
    const listing = await compile(`${folder}/soci-deno`);
    for (
      const name of [
        "typescript",
        "binaryen",
        "assemblyscript",
        "echarts",
        "fast-check",
        "ts-morph",
      ]
    ) {
      assert.doesNotMatch(listing, new RegExp(name));
    }
    assert.match(listing, /@grpc/);
    const needles = [
      ...workers,
      "lib/formats/deflate/kernel.gen.ts",
      "cmd/serve.ts",
    ];
    for (const path of needles) {
      const bytes = await Deno.readFile(new URL(path, ROOT));
      assert.ok(
        await holds(`${folder}/soci-deno`, bytes),
        `${path} is not in the binary`,
      );
    }
    const test = await Deno.readFile(new URL(import.meta.url));
    assert.equal(await holds(`${folder}/soci-deno`, test), false);
  } finally {
    if (before === undefined) Deno.env.delete("DENORT_BIN");
    else Deno.env.set("DENORT_BIN", before);
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("every subcommand has a permission set, the binary's is their union, and the rest is given up", () => {
  const { binary, ...sets } = permissionSets();
  assert.ok(binary !== undefined);
  for (const { name, needs } of COMMANDS) {
    const set = sets[name];
    assert.ok(set !== undefined, `no permission set for ${name}`);
    assert.deepEqual([...needs].sort(), Object.keys(set).sort(), name);
    for (const [kind, scope] of Object.entries(set)) {
      const most: true | readonly string[] | undefined = binary[kind];
      assert.ok(most !== undefined, `${name} needs ${kind}`);
      if (scope === true || most === true) assert.equal(most, true);
      else assert.ok(scope.every((one) => most.includes(one)), kind);
    }
  }
  const used = new Set(Object.values(sets).flatMap(Object.keys));
  assert.deepEqual(Object.keys(binary).sort(), [...used].sort());
});
