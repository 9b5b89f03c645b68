import assert from "node:assert/strict";
import { compareTrees, treeOf } from "../../support/compare/mod.ts";
import { run } from "../../support/host/mod.ts";
import { TarBuilder } from "../../support/images/mod.ts";

/** Unpacks with GNU tar into a directory that goes away with the test. */
async function unpacked(tar: TarBuilder) {
  const folder = await Deno.makeTempDir();
  await Deno.writeFile(`${folder}/t.tar`, tar.finish());
  await Deno.mkdir(`${folder}/root`);
  await run("tar", [
    ...["--xattrs", "--xattrs-include=*", "--same-owner", "-xpf"],
    ...[`${folder}/t.tar`, "-C", `${folder}/root`],
  ]);
  return {
    root: `${folder}/root`,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

const sample = () =>
  new TarBuilder()
    .dir("./", { mode: 0o750 })
    .dir("d", { uid: 7, gid: 8, mode: 0o2775 })
    .file(Uint8Array.of(0x64, 0x2f, 0xff, 0x5c), "raw name", {
      mtime: { seconds: -5, nanos: 250_000_000 },
    })
    .file("d/tool", "tool", {
      mode: 0o4711,
      xattrs: { "user.bin": Uint8Array.of(0, 255) },
    })
    .hardlink("d/again", "d/tool")
    .symlink("d/link", "../nowhere")
    .charDevice("null", { major: 1, minor: 3 })
    .fifo("pipe", { mode: 0o600 });

Deno.test("a tree tells every fact of what was unpacked", async () => {
  await using copy = await unpacked(sample());
  const tree = await treeOf(copy.root);
  const at = (path: string) => tree.find((entry) => entry.path === path)!;
  assert.deepEqual(
    tree.map((entry) => entry.path).sort(),
    [".", "d", "d/\\xff\\x5c", "d/again", "d/link", "d/tool", "null", "pipe"],
  );
  assert.equal(at("d/\\xff\\x5c").mtimeNs, -4_750_000_000n);
  assert.deepEqual(
    [at("d/tool").mode, at("d/tool").nlink, at("d/tool").xattrs],
    [0o4711, 2, { "user.bin": "00ff" }],
  );
  assert.equal(at("d/tool").inode, at("d/again").inode);
  assert.equal(at("d/link").target, "../nowhere");
  assert.deepEqual([at("null").type, at("null").device], ["char", "1:3"]);
});

Deno.test("equal trees have no differences, and each change is named once", async () => {
  await using one = await unpacked(sample());
  await using two = await unpacked(sample());
  const tree = await treeOf(one.root);
  assert.deepEqual(compareTrees(tree, await treeOf(two.root)), []);

  await Deno.remove(`${two.root}/d/again`);
  await Deno.writeTextFile(`${two.root}/pipe2`, "");
  await Deno.chmod(`${two.root}/null`, 0o666);
  const named = compareTrees(tree, await treeOf(two.root), {
    ignore: ["mtimeNs"],
  }).map(({ path, field }) => `${path} ${field}`);
  assert.deepEqual(named, [
    "d/again entry",
    "d/tool nlink",
    "d/tool links",
    "null mode",
    "pipe2 entry",
  ]);
});
