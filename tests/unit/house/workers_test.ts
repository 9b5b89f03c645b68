import assert from "node:assert/strict";
import { PRODUCT, readModules, ROOT } from "../../../tools/house/mod.ts";

/**
 * What each Worker of the product is given, as the source says it. One has the network, and nothing else. Those
 * that touch bytes of registries have no network, no program and no environment. What answers the kernel has libc;
 * the others that name it have a few calls of it, and give the permission up before the first byte comes
 * (`worker_attackers_test.ts`).
 */
const WORKERS: Readonly<Record<string, string>> = {
  "cmd/command_worker.ts": "permissions",
  "lib/layers/builder/worker.ts": '"none"',
  "lib/layers/faces/erofs_probe_worker.ts": "{ ffi: [LIBC_PATH] }",
  "lib/layers/fs/worker.ts": "{ ffi: [LIBC_PATH] }",
  "lib/layers/opening/worker.ts":
    "{ read: [root], write: [root], ffi: [LIBC_PATH] }",
  "lib/layers/spans/inflate_worker.ts": "{ ffi: [LIBC_PATH] }",
  "lib/layers/spans/whole_worker.ts": "{ read: [path] }",
  "lib/layers/whole/unit_worker.ts":
    "{ read: [folder], write: [folder], ffi: [LIBC_PATH] }",
  "lib/layers/whole/worker.ts":
    "{ read: [folder], write: [folder], ffi: [LIBC_PATH] }",
  "lib/remote/network/fetch_worker.ts": "{ net }",
};

/** The permissions after each `new Worker`, by the line it begins on. */
function permissionsIn(text: string): Map<number, string | null> {
  const found = new Map<number, string | null>();
  for (const { index } of text.matchAll(/\bnew Worker\(/g)) {
    const rest = text.slice(index);
    const end = rest.indexOf(");\n");
    const said = /permissions(?:: ("none"|\{[^}]*\}))?\s*[,}]/s.exec(
      rest.slice(0, end < 0 ? undefined : end),
    );
    const line = text.slice(0, index).split("\n").length;
    found.set(line, said === null ? null : said[1] ?? "permissions");
  }
  return found;
}

Deno.test("every Worker of the product is given permissions of its own, no more than are listed here", async () => {
  const given: Record<string, string> = {};
  let sites = 0;
  for (const { path, imports } of readModules(ROOT, PRODUCT)) {
    const text = await Deno.readTextFile(new URL(path, ROOT));
    const said = permissionsIn(text);
    sites += said.size;
    for (const { kind, target, line } of imports) {
      if (kind !== "worker") continue;
      const [, permissions] = [...said].findLast(([at]) => at <= line) ??
        [0, null];
      assert.ok(permissions !== null, `${path}:${line} gives none`);
      given[target!] = permissions!;
    }
  }
  assert.deepEqual(given, WORKERS);
  assert.equal(sites, Object.keys(WORKERS).length);
});

Deno.test("a Worker that is given no permissions of its own is seen", () => {
  const start = 'new Worker(new URL("./w.ts", import.meta.url), {';
  assert.deepEqual(
    [...permissionsIn(`\n${start} type: "module" });\nf(permissions, 1);\n`)],
    [[2, null]],
  );
  assert.deepEqual(
    [...permissionsIn(
      `${start}\n deno: { permissions: { ffi: [A] } },\n});\n`,
    )],
    [[1, "{ ffi: [A] }"]],
  );
});
