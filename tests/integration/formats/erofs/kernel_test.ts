/** What the kernel, and the tools of EROFS's authors, make of our images. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { compareTrees, treeOf } from "../../../support/compare/mod.ts";
import {
  erofsRefusal,
  imageOf,
  mountErofs,
  treeOfTar,
} from "../../../support/erofs/mod.ts";
import { run } from "../../../support/host/mod.ts";
import { oddImage, TarBuilder } from "../../../support/images/mod.ts";
import { erofsUtils } from "../../../support/peer/mod.ts";
import { testUnless } from "../../../support/test_unless.ts";
import { treeOf as treeOfEntries } from "../../../unit/layers/tree/support.ts";

const refusal = await erofsRefusal();
const onKernel = (name: string, fn: () => Promise<void>) =>
  testUnless(refusal, { name, fn });

/** Unpacks with GNU tar into a directory that goes away with the test. */
async function unpacked(tar: Uint8Array) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-erofs-" });
  await Deno.writeFile(`${folder}/t.tar`, tar);
  await Deno.mkdir(`${folder}/root`);
  await run("tar", [
    ...["--xattrs", "--xattrs-include=*", "--same-owner"],
    ...["--delay-directory-restore", "-xpf"],
    ...[`${folder}/t.tar`, "-C", `${folder}/root`],
  ]);
  return {
    root: `${folder}/root`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

/** Directories no entry of the odd layers speaks of: unpacked, they have the time of that. */
const UNLISTED = /^(\.|hidden|(level-0|long|missing|never)(\/.*)?)$/;
const WHITEOUT = /(^|\/)\.wh\..*$/;
/** As containerd unpacks: no times before 1970, no `trusted.*`. */
const UNPACKED_OTHERWISE = /^times\/before-/;

Deno.test("the layers of the odd image pass fsck.erofs, and dump.erofs reads them", async () => {
  for (const release of ["trixie", "sid"] as const) {
    const utils = await erofsUtils(release);
    if ("reason" in utils) return console.log(utils.reason);
    const folder = await Deno.makeTempDir();
    for (const [number, { bytes }] of oddLayers().entries()) {
      const tree = treeOfTar(bytes);
      await Deno.writeFile(`${folder}/image`, imageOf(tree));
      await Deno.writeFile(`${folder}/blob`, bytes);
      const device = `--device=${folder}/blob`;
      const fsck = await utils.fsck(device, `${folder}/image`);
      assert.equal(fsck.code, 0, `layer ${number}: ${fsck.stderr}`);
      const dump = await utils.dump("-s", device, `${folder}/image`);
      assert.equal(dump.code, 0, dump.stderr);
      assert.match(dump.stdout, new RegExp(`inode count: +${tree.inodes}\n`));
      const root = await utils.dump("--ls", "--path=/", `${folder}/image`);
      assert.equal(root.code, 0, root.stderr);
    }
    await Deno.remove(folder, { recursive: true });
  }
});

function oddLayers() {
  return oddImage({ compression: "none" }).layers;
}

onKernel(
  "mounted, the layers of the odd image are what tar unpacks",
  async () => {
    let entries = 0;
    for (const { bytes } of oddLayers()) {
      await using copy = await unpacked(bytes);
      await using mounted = await mountErofs(imageOf(treeOfTar(bytes)), bytes);
      const options = { ignoreXattrs: ["trusted."] };
      const ours = (await treeOf(mounted.directory, options))
        .filter(({ device }) => device !== "0:0");
      const theirs = (await treeOf(copy.root, options))
        .filter(({ path }) => !WHITEOUT.test(path));
      const differences = compareTrees(ours, theirs).filter(({ path, field }) =>
        // A directory that only a whiteout mentions is counted by its parent in both.
        !(field === "mtimeNs" &&
          (UNLISTED.test(path) || UNPACKED_OTHERWISE.test(path)))
      );
      assert.deepEqual(differences, []);
      entries += ours.length;
    }
    assert.ok(entries > 2200);
  },
);

onKernel(
  "whiteouts and opaque marks work as lower layers of overlayfs",
  async () => {
    const mounts = [];
    for (const { bytes } of oddLayers()) {
      mounts.push(await mountErofs(imageOf(treeOfTar(bytes)), bytes));
    }
    const target = await Deno.makeTempDir({ prefix: "soci-deno-erofs-" });
    const lower = mounts.map(({ directory }) => directory).reverse().join(":");
    await run("mount", [
      ...["-t", "overlay", "overlay", target, "-o", `ro,lowerdir=${lower}`],
    ]);
    try {
      const tree = await treeOf(target, { ignoreXattrs: ["trusted."] });
      const below = (folder: string) =>
        tree.map(({ path }) => path)
          .filter((path) => path.startsWith(`${folder}/`))
          .map((path) => path.slice(folder.length + 1));
      assert.deepEqual(below("opaque"), ["new", "sub", "sub/new"]);
      assert.deepEqual(below("hidden"), [
        "dir-to-file",
        "file-to-dir",
        "file-to-dir/inside",
        "kept",
        "replaced",
      ]);
      assert.deepEqual(below("merged"), ["lower", "upper"]);
    } finally {
      await run("umount", [target]);
      for (const mounted of mounts) await mounted[Symbol.asyncDispose]();
      await Deno.remove(target);
    }
  },
);

onKernel(
  "a directory of 100 000 entries is listed whole, and each name is found",
  async () => {
    const tar = new TarBuilder().dir("d");
    for (let i = 0; i < 100_000; i++) tar.file(`d/file-${i}`);
    const bytes = tar.finish();
    await using mounted = await mountErofs(imageOf(treeOfTar(bytes)), bytes);
    const { stdout } = await run("/usr/bin/python3", [
      "-c",
      "import os,sys; d=sys.argv[1]; n=os.listdir(d); " +
      "print(len(n), len(set(n)), sum(os.path.exists(d+'/file-%d'%i) for i in range(100000)), os.path.exists(d+'/file-100000'))",
      `${mounted.directory}/d`,
    ]);
    assert.equal(stdout.trim(), "100000 100000 100000 False");
  },
);

onKernel(
  "data behind the first 4 GiB of a layer is read from its place, in files of more than that",
  async () => {
    const GiB = 2 ** 30;
    const path = await Deno.makeTempFile({ prefix: "soci-deno-erofs-" });
    const marks = [512, 4 * GiB + 512, 9 * GiB + 512];
    {
      using file = await Deno.open(path, { write: true });
      await file.truncate(10 * GiB);
      for (const mark of marks) {
        await file.seek(mark, Deno.SeekMode.Start);
        await file.write(new TextEncoder().encode(`at ${mark}`));
      }
    }
    const tree = treeOfEntries([
      { name: "large", offset: 512, size: 8 * GiB + 1 },
      { name: "behind", offset: 9 * GiB + 512, size: 13 },
    ], 10 * GiB);
    try {
      await using mounted = await mountErofs(imageOf(tree), { path });
      using file = await Deno.open(`${mounted.directory}/large`);
      assert.equal((await file.stat()).size, 8 * GiB + 1);
      await file.seek(4 * GiB, Deno.SeekMode.Start);
      const found = new Uint8Array(13);
      await file.read(found);
      assert.equal(new TextDecoder().decode(found), "at 4294967808");
      assert.equal(
        await Deno.readTextFile(`${mounted.directory}/behind`),
        "at 9663676928",
      );
    } finally {
      await Deno.remove(path);
    }
  },
);

const component = fc.stringMatching(/^[!-.0-~]{1,12}$/).filter((text) =>
  text !== "." && text !== ".." && !text.startsWith(".wh.")
);
const entry = fc.record({
  path: fc.array(component, { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join("/")),
  kind: fc.constantFrom(...["file", "file", "dir", "symlink", "fifo"] as const),
  mode: fc.nat(0o7777),
  uid: fc.nat(70_000),
  data: fc.uint8Array({ maxLength: 9000 }),
  nanos: fc.nat(999_999_999),
});

onKernel("mounted, a generated archive is what tar unpacks", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 40 }), async (entries) => {
      const tar = new TarBuilder().dir("./");
      const taken = new Set<string>();
      for (const { path, kind, mode, uid, data, nanos } of entries) {
        // Each name once, and its directories as entries of their own.
        const parts = path.split("/");
        const folders = parts.slice(1).map((_, i) =>
          parts.slice(0, i + 1).join("/")
        );
        if (taken.has(path) || folders.some((it) => taken.has(it))) continue;
        const facts = { mode, uid, mtime: { seconds: 1_000_000, nanos } };
        for (const folder of folders) {
          if (!taken.has(`${folder}/`)) tar.dir(folder);
          taken.add(`${folder}/`);
        }
        if (taken.has(`${path}/`)) continue;
        taken.add(path);
        if (kind === "file") tar.file(path, data, facts);
        else if (kind === "symlink") tar.symlink(path, `to/${path}`, facts);
        else tar[kind](path, facts);
      }
      const bytes = tar.finish();
      await using copy = await unpacked(bytes);
      await using mounted = await mountErofs(imageOf(treeOfTar(bytes)), bytes);
      assert.deepEqual(
        compareTrees(await treeOf(mounted.directory), await treeOf(copy.root)),
        [],
      );
    }),
    { numRuns: 25 },
  );
});
