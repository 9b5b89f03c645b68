import assert from "node:assert/strict";
import { UsageError } from "../../../cmd/command.ts";
import { daemonRoot, DEFAULT_ROOT, rootFolder } from "../../../cmd/root.ts";

Deno.test("a root is absolute and normalized, whether it exists or not", () => {
  const here = Deno.realPathSync(Deno.cwd());
  assert.equal(rootFolder("no/such/"), `${here}/no/such`);
  assert.equal(rootFolder("./no/../such//folder"), `${here}/such/folder`);
  assert.equal(rootFolder("/no/such/../folder/"), "/no/folder");
  assert.equal(rootFolder("."), here);
});

Deno.test("a root is the same through every link, also above what does not exist yet", () => {
  const folder = Deno.realPathSync(Deno.makeTempDirSync());
  Deno.mkdirSync(`${folder}/real`);
  Deno.symlinkSync("real", `${folder}/link`);
  Deno.symlinkSync(`${folder}/link`, `${folder}/link-to-link`);
  for (const name of ["real", "link", "link-to-link"]) {
    assert.equal(rootFolder(`${folder}/${name}`), `${folder}/real`);
    assert.equal(rootFolder(`${folder}/${name}/a/b`), `${folder}/real/a/b`);
  }
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a root that cannot be meant is wrong usage", () => {
  for (const text of ["", "/", "//", "/usr/.."]) {
    assert.throws(() => rootFolder(text), UsageError, text);
  }
});

Deno.test("the flag goes before the variable, and the variable before the default", () => {
  const before = Deno.env.get("SOCI_SNAPSHOTTER_ROOT");
  try {
    Deno.env.set("SOCI_SNAPSHOTTER_ROOT", "/no/variable/");
    assert.equal(daemonRoot("/no/flag"), "/no/flag");
    assert.equal(daemonRoot(undefined), "/no/variable");
    Deno.env.set("SOCI_SNAPSHOTTER_ROOT", "");
    assert.equal(daemonRoot(undefined), DEFAULT_ROOT);
  } finally {
    if (before === undefined) Deno.env.delete("SOCI_SNAPSHOTTER_ROOT");
    else Deno.env.set("SOCI_SNAPSHOTTER_ROOT", before);
  }
});
