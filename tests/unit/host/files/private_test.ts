import assert from "node:assert/strict";
import {
  ensurePrivateFolder,
  FileError,
  OpenFolderError,
} from "../../../../lib/host/files/mod.ts";

const USER = 65534;
const MARKS = ["slots.db"];

function inFolder(test: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "soci-deno-private-" });
  try {
    test(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** A folder of exactly this mode. */
function make(path: string, mode: number, ...names: string[]): string {
  Deno.mkdirSync(path);
  for (const name of names) Deno.writeTextFileSync(`${path}/${name}`, "");
  Deno.chmodSync(path, mode);
  return path;
}

const modeOf = (path: string) => Deno.statSync(path).mode! & 0o7777;

function refused(path: string, why: RegExp): void {
  assert.throws(
    () => ensurePrivateFolder(path, MARKS),
    (error) =>
      error instanceof OpenFolderError && error.message.startsWith("/") &&
      why.test(error.message) && !error.message.includes("\n"),
  );
}

Deno.test("a private folder is made with all above it", () =>
  inFolder((folder) => {
    const before = Deno.umask(0);
    try {
      ensurePrivateFolder(`${folder}/a/b`, MARKS);
    } finally {
      Deno.umask(before);
    }
    assert.equal(modeOf(`${folder}/a/b`), 0o700);
  }));

Deno.test("an open folder of root's is closed when it is empty or has our files", () =>
  inFolder((folder) => {
    for (
      const [name, mode, ...names] of [
        ["empty", 0o755],
        ["state", 0o755, "slots.db", "anything"],
        ["disk", 0o755, "lost+found"],
        ["group", 0o775, "slots.db"],
        ["anyone", 0o777],
      ] as const
    ) {
      const path = make(`${folder}/${name}`, mode, ...names);
      ensurePrivateFolder(path, MARKS);
      assert.equal(modeOf(path), 0o700, name);
    }
  }));

Deno.test("a folder that is closed already keeps its mode", () =>
  inFolder((folder) => {
    const path = make(`${folder}/a`, 0o500, "anything");
    ensurePrivateFolder(path, MARKS);
    assert.equal(modeOf(path), 0o500);
  }));

Deno.test("a folder that is not ours to close, or that others could fill, is refused and left as it is", () =>
  inFolder((folder) => {
    refused(
      make(`${folder}/lib`, 0o755, "dpkg"),
      /open to other users \(mode 0755\) and holds dpkg/,
    );
    refused(
      make(`${folder}/filled`, 0o777, "slots.db"),
      /written by other users \(mode 0777\)/,
    );
    refused(make(`${folder}/tmp`, 0o1777), /written by other users/);
    const group = make(`${folder}/group`, 0o770, "slots.db");
    Deno.chownSync(group, 0, USER);
    refused(group, /written by other users \(mode 0770\)/);
    const theirs = make(`${folder}/theirs`, 0o700);
    Deno.chownSync(theirs, USER, USER);
    refused(theirs, /belongs to user 65534/);
    assert.equal(modeOf(`${folder}/lib`), 0o755);
    assert.equal(modeOf(`${folder}/filled`), 0o777);
    Deno.writeTextFileSync(`${folder}/file`, "");
    refused(`${folder}/file`, /is no folder/);
  }));

Deno.test("a link of root's is followed; one of another user's, or a folder above that all may write, is refused", () =>
  inFolder((folder) => {
    const target = make(`${folder}/target`, 0o755);
    Deno.symlinkSync(target, `${folder}/own`);
    ensurePrivateFolder(`${folder}/own`, MARKS);
    assert.equal(modeOf(target), 0o700);

    Deno.symlinkSync(target, `${folder}/theirs`);
    const { success } = new Deno.Command("chown", {
      args: ["-h", String(USER), `${folder}/theirs`],
    }).outputSync();
    assert.ok(success);
    refused(`${folder}/theirs`, /is a link that belongs to user 65534/);
    refused(`${folder}/theirs/below`, /is a link that belongs to user 65534/);
    Deno.symlinkSync("theirs", `${folder}/through`);
    refused(`${folder}/through`, /theirs is a link that belongs to user/);
    Deno.symlinkSync("loop", `${folder}/loop`);
    assert.throws(
      () => ensurePrivateFolder(`${folder}/loop`, MARKS),
      (error) => error instanceof FileError && error.code === "ELOOP",
    );

    make(`${folder}/open`, 0o777);
    refused(`${folder}/open/root`, /can be written by all users/);
    assert.throws(() => Deno.statSync(`${folder}/open/root`));
  }));
