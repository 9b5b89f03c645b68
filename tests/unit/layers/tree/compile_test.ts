import assert from "node:assert/strict";
import {
  LayerTree,
  TreeCompileError,
  TreeFormatError,
} from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";
import {
  entry,
  type EntryFacts,
  find,
  latin1,
  namesIn,
  treeOf,
  xattrsOf,
} from "./support.ts";

const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFCHR = 0o020000;

/** Expects a file list to be refused, with the number of the entry that breaks it. */
function refused(entries: readonly EntryFacts[], number: number, why: RegExp) {
  assert.throws(
    () => treeOf(entries, 4096),
    (error) => {
      assert.ok(error instanceof TreeCompileError, String(error));
      assert.equal(error.entry, number);
      assert.match(error.message, why);
      return true;
    },
  );
}

Deno.test("a file has the facts of its entry", () => {
  const tree = treeOf([{
    name: "a/file",
    offset: 1536,
    size: 77,
    mode: 0o104755,
    uid: 3_000_000,
    gid: 4,
    modTime: "2001-09-09T01:46:40.123456789Z",
  }]);
  const file = find(tree, "a/file");
  assert.equal(tree.mode[file], S_IFREG | 0o4755);
  assert.equal(tree.uid[file], 3_000_000);
  assert.equal(tree.gid[file], 4);
  assert.equal(tree.size[file], 77);
  assert.equal(tree.dataOffset[file], 1536);
  assert.equal(tree.mtimeSeconds[file], 1_000_000_000);
  assert.equal(tree.mtimeNanos[file], 123_456_789);
  assert.equal(tree.nlink[file], 1);
  assert.equal(tree.hasXattrs, false);
});

Deno.test("times before 1970 become 1970, as containerd unpacks them", () => {
  const tree = treeOf([{ name: "old", modTime: "1969-12-31T23:59:58.5Z" }]);
  assert.equal(tree.mtimeSeconds[find(tree, "old")], 0);
  assert.equal(tree.mtimeNanos[find(tree, "old")], 0);
});

Deno.test("times after the year 2262 become 1970 too", () => {
  const tree = treeOf([
    { name: "last", modTime: "2262-04-11T23:47:16.854775807Z" },
    { name: "after", modTime: "2262-04-11T23:47:16.854775808Z" },
    { name: "far", modTime: "9999-12-31T23:59:59.9Z" },
  ]);
  const time = (path: string) => {
    const inode = find(tree, path);
    return [tree.mtimeSeconds[inode], tree.mtimeNanos[inode]];
  };
  assert.deepEqual(time("last"), [9_223_372_036, 854_775_807]);
  assert.deepEqual(time("after"), [0, 0]);
  assert.deepEqual(time("far"), [0, 0]);
});

Deno.test("an owner of 2^32 - 1 changes nothing, as for chown", () => {
  const nobody = { uid: 0xffff_ffff, gid: 0xffff_ffff };
  const tree = treeOf([
    { name: "new", ...nobody },
    { name: "d/", type: "dir", uid: 1, gid: 2 },
    { name: "d/", type: "dir", ...nobody },
    { name: "file", uid: 3, gid: 4 },
    { name: "link", type: "hardlink", linkname: "file", ...nobody },
  ]);
  const owner = (path: string) => {
    const inode = find(tree, path);
    return [tree.uid[inode], tree.gid[inode]];
  };
  assert.deepEqual(owner("new"), [0, 0]);
  assert.deepEqual(owner("d"), [1, 2]);
  assert.deepEqual(owner("link"), [3, 4]);
});

Deno.test("a directory counts itself and its subdirectories as links", () => {
  const tree = treeOf([
    { name: "d/", type: "dir", mode: 0o2750 },
    { name: "d/a/", type: "dir" },
    { name: "d/b/", type: "dir" },
    { name: "d/file" },
  ]);
  const directory = find(tree, "d");
  assert.equal(tree.mode[directory], S_IFDIR | 0o2750);
  assert.equal(tree.nlink[directory], 4);
  assert.equal(tree.nlink[0], 3);
  assert.deepEqual(namesIn(tree, directory), ["a", "b", "file"]);
});

Deno.test("the root takes the facts of an entry for itself", () => {
  const tree = treeOf([{ name: "./", type: "dir", mode: 0o711, uid: 7 }]);
  assert.equal(tree.mode[0], S_IFDIR | 0o711);
  assert.equal(tree.uid[0], 7);
});

Deno.test("missing parents are made with mode 0755 and owner root", () => {
  const tree = treeOf([{ name: "a/b/c/file", uid: 9 }]);
  for (const path of ["a", "a/b", "a/b/c"]) {
    const inode = find(tree, path);
    assert.equal(tree.mode[inode], S_IFDIR | 0o755);
    assert.equal(tree.uid[inode], 0);
  }
});

Deno.test("a missing directory gets the group of the one it is in, where that has the setgid bit", () => {
  const tree = treeOf([
    { name: "g/", type: "dir", mode: 0o2775, uid: 3, gid: 5 },
    { name: "g/made/too/file" },
  ]);
  const made = find(tree, "g/made");
  assert.deepEqual(
    [tree.mode[made], tree.uid[made], tree.gid[made]],
    [S_IFDIR | 0o755, 0, 5],
  );
  assert.equal(tree.gid[find(tree, "g/made/too")], 0);
});

Deno.test("nothing is inherited from the root's entry, which unpacking ignores", () => {
  const tree = treeOf([
    { name: "./", type: "dir", mode: 0o2775, gid: 5 },
    { name: "made/file" },
  ]);
  assert.equal(tree.gid[find(tree, "made")], 0);
});

Deno.test("names are cleaned of slashes and dots, and absolute ones start at the root", () => {
  const tree = treeOf([{ name: "/./a//b/./file" }, { name: "./a/b/other" }]);
  assert.deepEqual(namesIn(tree, find(tree, "a/b")), ["file", "other"]);
});

Deno.test("whiteouts are character devices 0:0 under the hidden name", () => {
  const tree = treeOf([
    { name: "a/.wh.gone", mode: 0o644, uid: 5 },
    { name: ".wh.gone-too" },
  ]);
  for (const path of ["a/gone", "gone-too"]) {
    const inode = find(tree, path);
    assert.equal(tree.mode[inode], S_IFCHR);
    assert.equal(tree.rdev[inode], 0);
    assert.equal(tree.nlink[inode], 1);
  }
  assert.deepEqual(namesIn(tree, 0), ["a", "gone-too"]);
});

Deno.test("an entry of the same layer stands above a whiteout of its name, in either order", () => {
  const tree = treeOf([
    { name: ".wh.before" },
    { name: "before", size: 1 },
    { name: "after", size: 2 },
    { name: ".wh.after" },
    { name: ".wh.dir" },
    { name: "dir/inside" },
  ]);
  assert.equal(tree.size[find(tree, "before")], 1);
  assert.equal(tree.size[find(tree, "after")], 2);
  assert.ok(find(tree, "dir/inside") > 0);
});

Deno.test("an opaque mark becomes the overlay attribute of its directory and no file", () => {
  const tree = treeOf([
    { name: "d/.wh..wh..opq" },
    { name: "d/", type: "dir", uid: 6 },
    { name: "d/new" },
  ]);
  const directory = find(tree, "d");
  assert.deepEqual(xattrsOf(tree, directory), {
    "trusted.overlay.opaque": "y",
  });
  assert.equal(tree.uid[directory], 6);
  assert.deepEqual(namesIn(tree, directory), ["new"]);
  assert.equal(tree.hasXattrs, true);
});

Deno.test("other aufs bookkeeping and whiteouts of nothing vanish", () => {
  const tree = treeOf([
    { name: ".wh..wh.plnk", type: "dir" },
    { name: ".wh..wh.aufs" },
    { name: "a/.wh." },
    { name: "a/.wh.." },
    { name: "a/.wh..." },
  ]);
  assert.deepEqual(namesIn(tree, 0), ["a"]);
  assert.deepEqual(namesIn(tree, find(tree, "a")), []);
});

Deno.test("hard links share one inode that counts them all and shows the last header", () => {
  const tree = treeOf([
    { name: "first", size: 10, offset: 1024, uid: 1, xattrs: CAPABILITY },
    { name: "d/second", type: "hardlink", linkname: "./first", uid: 2 },
    { name: "third", type: "hardlink", linkname: "/d/second", uid: 3 },
  ]);
  const inode = find(tree, "first");
  assert.equal(find(tree, "d/second"), inode);
  assert.equal(find(tree, "third"), inode);
  assert.equal(tree.nlink[inode], 3);
  assert.equal(tree.uid[inode], 3);
  assert.equal(tree.size[inode], 10);
  assert.equal(tree.dataOffset[inode], 1024);
  assert.deepEqual(Object.keys(xattrsOf(tree, inode)), ["user.x"]);
});

const CAPABILITY = { "SCHILY.xattr.user.x": "1" };

Deno.test("a hard link to a symbolic link stays a symbolic link", () => {
  const tree = treeOf([
    { name: "link", type: "symlink", linkname: "to" },
    { name: "again", type: "hardlink", linkname: "link", mode: 0o777 },
  ]);
  assert.equal(latin1(tree.target(find(tree, "again"))), "to");
  assert.equal(tree.nlink[find(tree, "again")], 2);
});

Deno.test("a replaced name no longer counts as a link, the others keep the inode", () => {
  const tree = treeOf([
    { name: "a", size: 1 },
    { name: "b", type: "hardlink", linkname: "a" },
    { name: "a", size: 2 },
  ]);
  assert.equal(tree.nlink[find(tree, "a")], 1);
  assert.equal(tree.nlink[find(tree, "b")], 1);
  assert.equal(tree.size[find(tree, "b")], 1);
  assert.equal(tree.size[find(tree, "a")], 2);
});

Deno.test("the last entry of a name wins, and a directory that comes again keeps its children", () => {
  const tree = treeOf([
    { name: "x", size: 1, mode: 0o600 },
    { name: "x", size: 2, mode: 0o640 },
    { name: "kind" },
    { name: "kind", type: "symlink", linkname: "x" },
    { name: "d", type: "dir", mode: 0o700 },
    { name: "d/child" },
    { name: "d", type: "dir", mode: 0o750 },
    { name: "was-dir/child" },
    { name: "was-dir", size: 3 },
    { name: "was-file" },
    { name: "was-file/child" },
  ]);
  assert.equal(tree.size[find(tree, "x")], 2);
  assert.equal(tree.mode[find(tree, "x")], S_IFREG | 0o640);
  assert.equal(latin1(tree.target(find(tree, "kind"))), "x");
  assert.equal(tree.mode[find(tree, "d")], S_IFDIR | 0o750);
  assert.ok(find(tree, "d/child") > 0);
  assert.equal(tree.size[find(tree, "was-dir")], 3);
  assert.ok(find(tree, "was-file/child") > 0);
});

Deno.test("a directory that was replaced and made again starts empty", () => {
  const tree = treeOf([
    { name: "d/e/old" },
    { name: "d", size: 1 },
    { name: "d/e/new" },
  ]);
  assert.deepEqual(namesIn(tree, find(tree, "d/e")), ["new"]);
});

Deno.test("devices keep large numbers, pipes and links their kind", () => {
  const tree = treeOf([
    { name: "null", type: "char", devMajor: 1, devMinor: 3 },
    { name: "large", type: "block", devMajor: 1234, devMinor: 56_789 },
    { name: "pipe", type: "fifo" },
  ]);
  assert.equal(tree.rdev[find(tree, "null")], 0x103);
  const large = tree.rdev[find(tree, "large")] as number;
  assert.equal((large >>> 8) & 0xfff, 1234);
  assert.equal((large & 0xff) | ((large >>> 12) & 0xfff00), 56_789);
  assert.equal((tree.mode[find(tree, "pipe")] as number) & 0o170000, 0o010000);
});

Deno.test("names are any bytes, and directories are sorted by them", () => {
  const strange = [[0xff], [0x80, 0x01], [0x0a], [0x5c], [0xc3, 0xa9]].map(
    (bytes) => Uint8Array.from(bytes),
  );
  const tree = treeOf(strange.map((name) => ({ name })));
  for (const name of strange) assert.ok(find(tree, name) > 0);
  assert.deepEqual(
    namesIn(tree, 0),
    strange.map(latin1).sort((a, b) => a < b ? -1 : 1),
  );
});

Deno.test("extended attributes come from PAX records, but for the host's own", () => {
  const tree = treeOf([{
    name: "x",
    xattrs: {
      "SCHILY.xattr.user.a": "1",
      "SCHILY.xattr.user.empty": "",
      "SCHILY.xattr.security.selinux": "label",
      "SCHILY.xattr.trusted.overlay.opaque": "y",
      "mtime": "1",
    },
  }]);
  assert.deepEqual(xattrsOf(tree, find(tree, "x")), {
    "user.a": "1",
    "user.empty": "",
    "security.selinux": "label",
  });
});

Deno.test("data beyond the layer is refused, up to its last byte is not", () => {
  refused([{ name: "a", offset: 4000, size: 97 }], 0, /ends after the layer/);
  assert.ok(treeOf([{ name: "a", offset: 4000, size: 96 }], 4096));
});

Deno.test("hard links to nothing, to later files and to directories are refused", () => {
  const link = { name: "l", type: "hardlink", linkname: "t" } as const;
  refused([link], 0, /not here/);
  refused([link, { name: "t" }], 0, /not here/);
  refused([{ name: "t", type: "dir" }, link], 1, /to a directory/);
});

Deno.test("names no file system takes are refused wherever they stand", () => {
  const long = "n".repeat(256);
  refused([{ name: long }], 0, /255 bytes/);
  refused([{ name: `${long}/file` }], 0, /255 bytes/);
  refused([{ name: `.wh.${long}` }], 0, /255 bytes/);
  refused([{ name: "a\0b" }], 0, /zero byte/);
  refused([{ name: "d/".repeat(3000) + "f" }], 0, /too deep/);
  refused([{ name: "l", type: "symlink", linkname: "" }], 0, /link target/);
  refused(
    [{ name: "l", type: "symlink", linkname: "x".repeat(4096) }],
    0,
    /link target/,
  );
  assert.ok(
    find(treeOf([{ name: `.wh.${"n".repeat(255)}` }]), "n".repeat(255)),
  );
});

Deno.test("a tree tells where its spans begin and its data ends", () => {
  const tree = new LayerTree(compileTree({
    entries: [entry({ name: "a" })],
    spanStarts: [0, 10, 11, 500],
    dataSize: 1000,
  }));
  assert.deepEqual([...tree.spanStarts], [0, 10, 11, 500, 1000]);
});

Deno.test("a torn, foreign or older tree file is refused", () => {
  const bytes = compileTree({
    entries: [entry({ name: "a" }), entry({ name: "b/c", size: 3 })],
    spanStarts: [0],
    dataSize: 4096,
  });
  const broken = (change: (copy: Uint8Array<ArrayBuffer>) => void) => {
    const copy = bytes.slice();
    change(copy);
    return copy;
  };
  assert.ok(new LayerTree(bytes.slice()));
  for (
    const wrong of [
      new Uint8Array(),
      bytes.slice(0, 63),
      bytes.slice(0, -1),
      new Uint8Array(bytes.length),
      broken((copy) => copy[0]! ^= 1), // magic
      broken((copy) => copy[4] = 99), // version
      broken((copy) => copy[12] = 200), // count of inodes
      broken((copy) => copy[copy.length - 1]! ^= 1),
      broken((copy) => copy.fill(0, 64, 128)),
    ]
  ) assert.throws(() => new LayerTree(wrong), TreeFormatError);
});
