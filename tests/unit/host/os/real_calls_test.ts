/**
 * Calls whose arguments and results are laid out by hand, beside what the runtime says of the same things. They hold
 * on every architecture: `deno task test:arm64` runs them on another one.
 */
import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { makePipe, openProcess } from "../../../../lib/host/os/descriptors.ts";
import {
  bytePath,
  closeFd,
  entryAt,
  ERRNO,
  FileMapping,
  fileSize,
  fileSystemUse,
  isClosedToOthers,
  linkTarget,
  listNames,
  makeDirectoryOf,
  makeFolder,
  momentNow,
  O,
  openFd,
  OsError,
  pollNow,
  preadFully,
  punchHole,
  pwriteFully,
  readSome,
  setAttributes,
  setTime,
  takeDescriptor,
  truncateFd,
  writeGathered,
  writeSome,
  xattrsOf,
} from "../../../../lib/host/os/mod.ts";

async function inFolder(use: (folder: string) => void | Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-calls-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("names in a directory, also in the kernel's own; a file is none", () =>
  inFolder(async (folder) => {
    for (let i = 0; i < 300; i++) {
      await Deno.writeTextFile(`${folder}/${"n".repeat(1 + i % 200)}${i}`, "");
    }
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert.deepEqual(listNames(folder).sort(), names.sort());
    assert.ok(listNames("/proc/self").includes("status"));
    assert.ok(listNames("/sys/fs").length > 0);
    assert.throws(
      () => listNames("/proc/self/status"),
      (error: OsError) => error.errno === ERRNO.ENOTDIR,
    );
  }));

Deno.test("what is at a path is what the runtime says, and so is what a directory is given", () =>
  inFolder(async (folder) => {
    const path = `${folder}/made`;
    const given = {
      ...{ mode: 0o3751, uid: 1234, gid: 70_000 },
      ...{ mtimeSeconds: -3, mtimeNanos: 7_000_000 },
      xattrs: new Map([["user.a", bytes("one")], ["user.b", bytes("")]]),
    };
    makeDirectoryOf(bytePath(path));
    assert.equal(Deno.lstatSync(path).mode! & 0o7777, 0o700);
    const refused = setAttributes(bytePath(path), given);
    setTime(bytePath(path), given);
    const { mode, uid, gid, mtime } = Deno.lstatSync(path);
    assert.deepEqual([mode! & 0o7777, uid, gid], [0o3751, 1234, 70_000]);
    assert.equal(mtime!.getTime(), -3000 + 7);
    const { xattrs, ...rest } = given;
    assert.deepEqual(entryAt(bytePath(path)), { kind: "directory", ...rest });
    if (refused.length === 0) {
      assert.deepEqual(xattrsOf(bytePath(path)), xattrs);
    }

    await Deno.writeTextFile(`${folder}/file`, "");
    await Deno.symlink("target/ä", `${folder}/link`);
    assert.equal(entryAt(`${folder}/file`)?.kind, "other");
    assert.equal(entryAt(`${folder}/link`)?.kind, "link");
    assert.equal(linkTarget(`${folder}/link`), bytePath("target/ä"));
    assert.equal(entryAt(`${folder}/none`), null);
    assert.equal(entryAt(`${folder}/file/none`), null);
  }));

Deno.test("a folder is made once, with its mode, and whether others may enter it is told", () =>
  inFolder(async (folder) => {
    await Deno.chmod(folder, 0o711);
    const mask = Deno.umask(0);
    try {
      assert.ok(makeFolder(`${folder}/closed`, 0o700));
      assert.ok(makeFolder(`${folder}/open`, 0o755));
    } finally {
      Deno.umask(mask);
    }
    assert.ok(!makeFolder(`${folder}/open`, 0o700));
    assert.equal(Deno.lstatSync(`${folder}/open`).mode! & 0o777, 0o755);
    if (Deno.uid() !== 0) return; // only root can be somebody else
    assert.ok(isClosedToOthers(`${folder}/closed`));
    assert.ok(!isClosedToOthers(`${folder}/open`));
  }));

Deno.test("figures of a file system are those of the runtime", () => {
  const ours = fileSystemUse("/proc");
  const theirs = statfsSync("/proc");
  assert.equal(ours.blockSizeBytes, theirs.bsize);
  const [here, there] = [fileSystemUse("/"), statfsSync("/")];
  assert.deepEqual(
    [here.blockSizeBytes, here.blocks, here.files],
    [there.bsize, there.blocks, there.files],
  );
  assert.ok(here.blocksAvailable <= here.blocksFree);
  assert.ok(here.blocksFree <= here.blocks);
});

Deno.test("offsets and lengths beyond 4 GiB arrive whole", () =>
  inFolder((folder) => {
    const far = 5 * 2 ** 32 + 4096;
    const fd = openFd(`${folder}/sparse`, O.RDWR | O.CREAT | O.TRUNC);
    try {
      pwriteFully(fd, bytes("far away"), far);
      assert.equal(fileSize(fd), far + 8);
      const into = new Uint8Array(16);
      assert.equal(preadFully(fd, into, far), 8);
      assert.equal(new TextDecoder().decode(into.subarray(0, 8)), "far away");
      truncateFd(fd, far + 4096);
      assert.equal(Deno.statSync(`${folder}/sparse`).size, far + 4096);
      punchHole(fd, far, 4096);
      assert.equal(preadFully(fd, into, far), 16);
      assert.deepEqual(into, new Uint8Array(16));
    } finally {
      closeFd(fd);
    }
  }));

Deno.test("a mapped file is written out of memory, by address and length", () =>
  inFolder((folder) => {
    const text = "0123456789".repeat(1000);
    Deno.writeTextFileSync(`${folder}/in`, text);
    const fd = openFd(`${folder}/in`, O.RDONLY);
    const out = openFd(`${folder}/out`, O.WRONLY | O.CREAT);
    try {
      using mapping = new FileMapping(fd, text.length);
      const vectors = new BigUint64Array([
        ...[BigInt(mapping.address + 5000), 3000n],
        ...[BigInt(mapping.address), 10n],
      ]);
      assert.equal(writeGathered(out, new Uint8Array(vectors.buffer), 2), 3010);
      mapping.drop(0, text.length);
    } finally {
      closeFd(fd);
      closeFd(out);
    }
    assert.equal(
      Deno.readTextFileSync(`${folder}/out`),
      text.slice(5000, 8000) + text.slice(0, 10),
    );
  }));

Deno.test("a pipe tells when it can be read, and a descriptor is taken from a process", () => {
  const { readEnd, writeEnd } = makePipe({ reads: "at once" });
  const POLLIN = 1;
  const descriptors = new Uint8Array(8);
  const view = new DataView(descriptors.buffer);
  view.setInt32(0, readEnd, true);
  view.setInt16(4, POLLIN, true);
  const into = new Uint8Array(8);
  try {
    assert.equal(readSome(readEnd, into, 8), -1); // and does not wait
    assert.equal(pollNow(descriptors, 1), 0);
    const taken = takeDescriptor(Deno.pid, writeEnd);
    assert.equal(writeSome(taken, bytes("here"), 4), 4);
    closeFd(taken);
    assert.equal(pollNow(descriptors, 1), 1);
    assert.equal(view.getInt16(6, true), POLLIN);
    assert.equal(readSome(readEnd, into, 8), 4);
    assert.equal(new TextDecoder().decode(into.subarray(0, 4)), "here");
    closeFd(openProcess(Deno.pid));
    assert.throws(
      () => openProcess(2 ** 22 + 1), // more than the kernel gives
      (error: OsError) => error.errno === ERRNO.ESRCH,
    );
  } finally {
    closeFd(readEnd);
    closeFd(writeEnd);
  }
});

Deno.test("the wall clock is that of the runtime", () => {
  const before = Date.now();
  const { ms, ns } = momentNow();
  assert.ok(before <= ms && ms <= Date.now());
  assert.ok(ns >= 0 && ns < 1_000_000);
});
