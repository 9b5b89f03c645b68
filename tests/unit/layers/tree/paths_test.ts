/** Where entries go whose paths have links and dots in them: where containerd's unpacking puts them. */
import assert from "node:assert/strict";
import { DIRECTORY } from "../../../../lib/layers/tree/format.ts";
import { TreeCompileError } from "../../../../lib/layers/tree/mod.ts";
import { find, latin1, namesIn, treeOf } from "./support.ts";

Deno.test("an entry goes where the links on its way lead, and the links stay", () => {
  const tree = treeOf([
    { name: "usr/", type: "dir" },
    { name: "usr/lib/", type: "dir", uid: 5 },
    { name: "usr/lib/old" },
    { name: "lib", type: "symlink", linkname: "usr/lib" },
    { name: "lib/x.so", size: 1 },
    { name: "lib/sub/", type: "dir", uid: 6 },
    { name: "lib/sub/z", size: 2 },
    { name: "abs", type: "symlink", linkname: "/usr/lib" },
    { name: "abs/y.so", size: 3 },
    { name: "usr/up", type: "symlink", linkname: "../lib/sub" },
    { name: "usr/up/w", size: 4 },
    { name: "lib/.wh.gone" },
    { name: "abs/sub/.wh..wh..opq" },
  ]);
  assert.equal(latin1(tree.target(find(tree, "lib"))), "usr/lib");
  assert.deepEqual(namesIn(tree, find(tree, "usr/lib")), [
    ...["gone", "old", "sub", "x.so", "y.so"],
  ]);
  assert.deepEqual(namesIn(tree, find(tree, "usr/lib/sub")), ["w", "z"]);
  assert.equal(tree.uid[find(tree, "usr/lib")], 5);
  assert.equal(tree.uid[find(tree, "usr/lib/sub")], 6);
  assert.equal(tree.xattrCount(find(tree, "usr/lib/sub")), 1);
});

Deno.test("links never lead out of the layer", () => {
  const tree = treeOf([
    { name: "out", type: "symlink", linkname: "../../../etc" },
    { name: "out/passwd", size: 1 },
    { name: "root", type: "symlink", linkname: "/" },
    { name: "root/top", size: 2 },
    { name: "root/root/again", size: 3 },
    { name: "d/e/", type: "dir" },
    { name: "d/e/up", type: "symlink", linkname: "../../../../d" },
    { name: "d/e/up/f", size: 4 },
  ]);
  assert.equal(tree.size[find(tree, "etc/passwd")], 1);
  assert.equal(tree.size[find(tree, "top")], 2);
  assert.equal(tree.size[find(tree, "again")], 3);
  assert.equal(tree.size[find(tree, "d/f")], 4);
});

Deno.test("where a link leads nowhere its directory is made there, and one that leads to a file is refused no more than a file", () => {
  const tree = treeOf([
    { name: "opt", type: "symlink", linkname: "data/opt" },
    { name: "opt/tool", size: 1 },
  ]);
  assert.equal(tree.size[find(tree, "data/opt/tool")], 1);
  assert.equal(tree.factsOf(find(tree, "data")), DIRECTORY.implied);
  assert.equal(latin1(tree.target(find(tree, "opt"))), "data/opt");
});

Deno.test("a link in a link is followed, a circle is refused", () => {
  const tree = treeOf([
    { name: "a", type: "symlink", linkname: "b" },
    { name: "b", type: "symlink", linkname: "c/d" },
    { name: "c/d/", type: "dir" },
    { name: "a/file" },
  ]);
  assert.ok(find(tree, "c/d/file") > 0);
  assert.throws(
    () =>
      treeOf([
        { name: "x", type: "symlink", linkname: "y" },
        { name: "y", type: "symlink", linkname: "x" },
        { name: "x/file" },
      ]),
    (error) => error instanceof TreeCompileError && error.entry === 2,
  );
});

Deno.test("an entry named like a link takes its place, a directory too", () => {
  const tree = treeOf([
    { name: "usr/lib/", type: "dir" },
    { name: "lib", type: "symlink", linkname: "usr/lib" },
    { name: "lib/one" },
    { name: "lib/", type: "dir", uid: 3 },
    { name: "lib/two" },
  ]);
  assert.deepEqual(namesIn(tree, find(tree, "usr/lib")), ["one"]);
  assert.deepEqual(namesIn(tree, find(tree, "lib")), ["two"]);
});

Deno.test("names are cleaned by their text, before any link is followed", () => {
  const tree = treeOf([
    { name: "a/../b", size: 1 },
    { name: "../c", size: 2 },
    { name: "/../../d/e", size: 3 },
    { name: "usr/share/", type: "dir" },
    { name: "l", type: "symlink", linkname: "usr/share" },
    { name: "l/../f", size: 4 },
    { name: "x/y/..", type: "dir", uid: 9 },
    { name: "..", type: "dir", uid: 8 },
  ]);
  assert.deepEqual(namesIn(tree, 0), ["b", "c", "d", "f", "l", "usr", "x"]);
  assert.equal(tree.uid[find(tree, "x")], 9);
  assert.equal(find(tree, "a"), -1);
  assert.equal(tree.uid[0], 8);
});

Deno.test("hard links find their files through links and dots", () => {
  const tree = treeOf([
    { name: "c/usr/lib/real", size: 7 },
    { name: "c/lib", type: "symlink", linkname: "usr/lib" },
    { name: "c/hl", type: "hardlink", linkname: "c/lib/real" },
    { name: "dots", type: "hardlink", linkname: "./c/usr/../usr/lib/real" },
    { name: "climbs", type: "hardlink", linkname: "../../c/lib/real" },
    { name: "by-text", type: "hardlink", linkname: "c/none/../usr/lib/real" },
    { name: "of-file", type: "hardlink", linkname: "dots/../c/lib/real" },
    { name: "sym", type: "symlink", linkname: "c/usr/lib/real" },
    { name: "of-link", type: "hardlink", linkname: "sym" },
  ]);
  const inode = find(tree, "c/usr/lib/real");
  for (const path of ["c/hl", "dots", "climbs", "by-text", "of-file"]) {
    assert.equal(find(tree, path), inode, path);
  }
  assert.equal(tree.nlink[inode], 6);
  // The last part of a target is not followed.
  assert.equal(find(tree, "of-link"), find(tree, "sym"));
});

Deno.test("hard links through links to nothing are refused", () => {
  for (const linkname of ["l/none", "l/..", "l", "f/x", ""]) {
    assert.throws(
      () =>
        treeOf([
          { name: "d/", type: "dir" },
          { name: "f" },
          { name: "l", type: "symlink", linkname: "d" },
          { name: "h", type: "hardlink", linkname: `${linkname}/` },
        ]),
      TreeCompileError,
      linkname,
    );
  }
});

Deno.test("a list that leads through links without end is refused in time", () => {
  const chain = Array.from({ length: 200 }, (_, at) => ({
    name: `l${at}`,
    type: "symlink" as const,
    linkname: at === 0 ? "d" : `l${at - 1}`,
  }));
  const entries = [{ name: "d/", type: "dir" as const }, ...chain];
  const through = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ name: `l199/${at}/file` }));
  // Where nothing changes on the way a link is followed once.
  assert.ok(find(treeOf([...entries, ...through(20_000)]), "d/19999/file") > 0);
  // Here the way is another one each time.
  const changing = through(20_000).flatMap((entry) => [
    { name: "x", type: "symlink" as const, linkname: "d" },
    entry,
  ]);
  assert.throws(() => treeOf([...entries, ...changing]), /symbolic links/);
});

Deno.test("directories tell whether their facts are their own", () => {
  const tree = treeOf([
    { name: "a/b/file" },
    { name: "a/", type: "dir" },
    { name: "own/", type: "dir" },
    { name: "own/", type: "dir" },
  ]);
  const facts = (path: string) => tree.factsOf(find(tree, path));
  assert.equal(facts("a"), DIRECTORY.inherits);
  assert.equal(facts("a/b"), DIRECTORY.implied);
  assert.equal(facts("own"), DIRECTORY.own);
  assert.equal(tree.factsOf(0), DIRECTORY.implied);
  assert.equal(tree.inherits, true);
  assert.equal(treeOf([{ name: "own/", type: "dir" }]).inherits, false);
});
