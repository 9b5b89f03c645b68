import assert from "node:assert/strict";
import {
  Draft,
  FileError,
  putOnDisk,
  readIfThere,
  readTextIfThere,
  removeIfThere,
  statIfThere,
  writeAll,
  writeAllSync,
  writeWhole,
  writeWholeSync,
} from "../../../../lib/host/files/mod.ts";

async function inFolder(test: (folder: string) => Promise<void> | void) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-whole-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) =>
  [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

const bytes = (length: number) =>
  Uint8Array.from({ length }, (_, i) => i * 7 & 0xff);

Deno.test("all bytes are written to what takes few at a time", async () => {
  const taken: number[] = [];
  const take = (bytes: Uint8Array) => {
    const some = bytes.subarray(0, 3);
    taken.push(...some);
    return some.length;
  };
  await writeAll({ write: (part) => Promise.resolve(take(part)) }, bytes(10));
  writeAllSync({ writeSync: take }, bytes(10));
  assert.deepEqual(taken, [...bytes(10), ...bytes(10)]);
});

Deno.test("a file is there whole, small or large, and its draft is gone", () =>
  inFolder(async (folder) => {
    for (const length of [0, 1, 1 << 20]) {
      await writeWhole(`${folder}/file`, bytes(length), { sync: "data" });
      assert.deepEqual(readIfThere(`${folder}/file`), bytes(length));
    }
    writeWholeSync(`${folder}/text`, "text");
    assert.equal(readTextIfThere(`${folder}/text`), "text");
    assert.deepEqual(names(folder), ["file", "text"]);
    await putOnDisk(folder);
  }));

Deno.test("until a draft is finished the old file is the file, and a draft given up leaves it", () =>
  inFolder(async (folder) => {
    const path = `${folder}/file`;
    writeWholeSync(path, "old");
    {
      using draft = Draft.create(path);
      await draft.write(bytes(5));
      assert.equal(readTextIfThere(path), "old");
    }
    assert.equal(readTextIfThere(path), "old");
    assert.deepEqual(names(folder), ["file"]);
  }));

Deno.test("a draft that a killed process left is overwritten; one that was named must not be there", () =>
  inFolder(async (folder) => {
    Deno.writeTextFileSync(
      `${folder}/file.new`,
      "much longer than the new one",
    );
    await writeWhole(`${folder}/file`, "new");
    assert.equal(readTextIfThere(`${folder}/file`), "new");
    Deno.writeTextFileSync(`${folder}/mine`, "");
    assert.throws(
      () => Draft.create(`${folder}/file`, { draftPath: `${folder}/mine` }),
      { name: "FileError", code: "EEXIST", path: `${folder}/mine` },
    );
    assert.equal(statIfThere(`${folder}/mine`)?.size, 0);
  }));

Deno.test("what cannot be written is told with its path and the system's reason, and leaves no draft", () =>
  inFolder(async (folder) => {
    Deno.mkdirSync(`${folder}/file/inside`, { recursive: true });
    const failure = await writeWhole(`${folder}/file`, "x").catch((e) => e);
    assert.ok(failure instanceof FileError);
    assert.equal(failure.step, "rename");
    assert.equal(failure.code, "EISDIR");
    assert.match(
      failure.message,
      /cannot put in place .*\/file: EISDIR/,
    );
    assert.deepEqual(names(folder), ["file"]);
    using full = await Deno.open("/dev/full", { write: true });
    await assert.rejects(writeAll(full, bytes(1)), { code: "ENOSPC" });
    await assert.rejects(putOnDisk(`${folder}/none`), {
      name: "FileError",
      step: "sync",
    });
  }));

Deno.test("not being there is an answer, also below a file; not being readable is an error", () =>
  inFolder((folder) => {
    Deno.writeTextFileSync(`${folder}/file`, "");
    for (const path of [`${folder}/none`, `${folder}/file/below`]) {
      assert.equal(readIfThere(path), null);
      assert.equal(readTextIfThere(path), null);
      assert.equal(statIfThere(path), null);
      assert.equal(removeIfThere(path), false);
    }
    assert.throws(() => readIfThere(folder), {
      name: "FileError",
      step: "read",
    });
    assert.equal(removeIfThere(`${folder}/file`), true);
    assert.deepEqual(names(folder), []);
  }));
