/** What has the name of a state file and is none. */
import assert from "node:assert/strict";
import {
  FileError,
  putOddAside,
  putOddOfFolderAside,
  readTextIfThere,
} from "../../../../lib/host/files/mod.ts";
import { stateDamages } from "../../../../lib/telemetry/mod.ts";

function pipe(path: string): void {
  const { code } = new Deno.Command("mkfifo", { args: [path] }).outputSync();
  assert.equal(code, 0);
}

const ODD: Readonly<Record<string, (path: string) => void>> = {
  "a pipe": pipe,
  "a folder": (path) => Deno.mkdirSync(path),
  "a full folder": (path) =>
    Deno.mkdirSync(`${path}/more`, { recursive: true }),
  "a link to nothing": (path) => Deno.symlinkSync("/nonexistent/file", path),
  "a link to a device": (path) => Deno.symlinkSync("/dev/zero", path),
  "a link to another file": (path) => Deno.symlinkSync("whole", path),
};

for (const [what, make] of Object.entries(ODD)) {
  Deno.test(`${what} in the place of a state file is put aside and told, and the file counts as lost`, () => {
    const folder = Deno.makeTempDirSync({ prefix: "soci-deno-odd-" });
    Deno.writeTextFileSync(`${folder}/whole`, "whole");
    for (let times = 0; times < 2; times++) {
      make(`${folder}/state`);
      if (times === 0) putOddAside(`${folder}/state`);
      else putOddOfFolderAside(folder);
      assert.equal(readTextIfThere(`${folder}/state`), null);
      assert.ok(stateDamages().some(({ path }) => path === `${folder}/state`));
    }
    assert.deepEqual(
      [...Deno.readDirSync(folder)].map(({ name }) => name).sort(),
      ["state.damaged", "whole"],
    );
    assert.equal(Deno.readTextFileSync(`${folder}/whole`), "whole");
    Deno.removeSync(folder, { recursive: true });
  });
}

Deno.test("files are left as they are, and what is missing stays missing", () => {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-odd-" });
  Deno.writeTextFileSync(`${folder}/state`, "whole");
  for (const name of ["state", "missing", "state/below"]) {
    putOddAside(`${folder}/${name}`);
  }
  putOddOfFolderAside(folder);
  putOddOfFolderAside(`${folder}/missing`);
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
    "state",
  ]);
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("a pipe or a device that is read as a state file is an error, not a wait", () => {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-odd-" });
  pipe(`${folder}/pipe`);
  assert.throws(() => readTextIfThere(`${folder}/pipe`), FileError);
  assert.throws(() => readTextIfThere("/dev/zero"), FileError);
  Deno.removeSync(folder, { recursive: true });
});
