/** The umask is the whole process's: no test that makes files may run beside this one. */
import assert from "node:assert/strict";
import { statIfThere, writeWhole } from "../../../../lib/host/files/mod.ts";

Deno.test("only this user reads a file unless more is asked for, whatever the umask", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-umask-" });
  const old = Deno.umask(0o077);
  try {
    const modeOf = (name: string) =>
      statIfThere(`${folder}/${name}`)!.mode! & 0o777;
    await writeWhole(`${folder}/private`, "");
    await writeWhole(`${folder}/all`, "", { mode: 0o444 });
    await writeWhole(`${folder}/umask`, "", { mode: "umask" });
    assert.deepEqual(["private", "all", "umask"].map(modeOf), [
      0o600,
      0o444,
      0o600,
    ]);
    Deno.umask(0o022);
    await writeWhole(`${folder}/umask`, "", { mode: "umask" });
    assert.equal(modeOf("umask"), 0o644);
  } finally {
    Deno.umask(old);
    await Deno.remove(folder, { recursive: true });
  }
});
