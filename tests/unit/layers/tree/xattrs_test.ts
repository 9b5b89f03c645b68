/** Extended attributes as a file system of Linux has them when containerd has unpacked the archive. */
import assert from "node:assert/strict";
import { acl, NO_ID } from "../../../support/acls.ts";
import { entry, type EntryFacts, find, latin1, xattrsOf } from "./support.ts";
import { LayerTree } from "../../../../lib/layers/tree/mod.ts";
import { compileTree } from "../../../../lib/layers/compiler/mod.ts";

const CAPABILITY = "01000002002000000000000000000000000000" + "00";
const hex = (text: string) => Uint8Array.fromHex(text);

/** Attributes as bytes: values of ACLs are no text. */
function treeOf(
  entries:
    readonly (EntryFacts & { attributes?: Record<string, Uint8Array> })[],
): LayerTree {
  return new LayerTree(compileTree({
    entries: entries.map(({ attributes = {}, ...facts }) => ({
      ...entry(facts),
      xattrs: Object.entries(attributes).map(([key, value]) =>
        [new TextEncoder().encode(`SCHILY.xattr.${key}`), value] as const
      ),
    })),
    spanStarts: [0],
    dataSize: 1 << 20,
  }));
}

const U = NO_ID;

/** `user::6 user:1000:4 group::0 mask::M other::O` */
const named = (mask: number, other = 0) =>
  acl([1, 6, U], [2, 4, 1000], [4, 0, U], [16, mask, U], [32, other, U]);
const shown = (tree: LayerTree, path: string) =>
  Object.fromEntries(
    Object.entries(xattrsOf(tree, find(tree, path))).map(([key, value]) => [
      key,
      Uint8Array.from(value, (unit) => unit.charCodeAt(0)).toHex(),
    ]),
  );

const ACCESS = "system.posix_acl_access";
const DEFAULT = "system.posix_acl_default";

Deno.test("a kind of file keeps only attributes it can have", () => {
  const attributes = {
    "user.a": hex("01"),
    "security.selinux": hex("02"),
    "unknown.x": hex("03"),
    "system.other": hex("04"),
    "user.": hex("05"),
  };
  const tree = treeOf([
    { name: "file", attributes },
    { name: "dir/", type: "dir", attributes },
    { name: "link", type: "symlink", linkname: "x", attributes },
    { name: "pipe", type: "fifo", attributes },
    { name: "null", type: "char", devMajor: 1, devMinor: 3, attributes },
  ]);
  const both = { "user.a": "01", "security.selinux": "02" };
  assert.deepEqual(shown(tree, "file"), both);
  assert.deepEqual(shown(tree, "dir"), both);
  for (const path of ["link", "pipe", "null"]) {
    assert.deepEqual(shown(tree, path), { "security.selinux": "02" }, path);
  }
});

Deno.test("a hard link's header takes capabilities away, and gives what it says itself", () => {
  const cap = { "security.capability": hex(CAPABILITY) };
  const tree = treeOf([
    { name: "a", attributes: { ...cap, "user.kept": hex("01") } },
    { name: "a2", type: "hardlink", linkname: "a" },
    { name: "s", type: "symlink", linkname: "x", attributes: cap },
    { name: "s2", type: "hardlink", linkname: "s" },
    { name: "b", attributes: { ...cap, "user.x": hex("01") } },
    {
      name: "b2",
      type: "hardlink",
      linkname: "b",
      attributes: { ...cap, "user.x": hex("02") },
    },
  ]);
  assert.deepEqual(shown(tree, "a"), { "user.kept": "01" });
  assert.deepEqual(shown(tree, "s"), {});
  assert.deepEqual(shown(tree, "b"), {
    "security.capability": CAPABILITY,
    "user.x": "02",
  });
});

Deno.test("a directory that comes again keeps attributes its new entry does not name", () => {
  const tree = treeOf([
    { name: "d/", type: "dir", attributes: { "user.a": hex("01") } },
    { name: "d/", type: "dir", attributes: { "user.b": hex("02") } },
  ]);
  assert.deepEqual(shown(tree, "d"), { "user.a": "01", "user.b": "02" });
});

Deno.test("an ACL goes along with the mode, and one that says no more than it is none", () => {
  const tree = treeOf([
    { name: "named", mode: 0o640, attributes: { [ACCESS]: named(4) } },
    { name: "masked", mode: 0o675, attributes: { [ACCESS]: named(0) } },
    {
      name: "minimal",
      mode: 0o644,
      attributes: { [ACCESS]: acl([1, 7, U], [4, 7, U], [32, 7, U]) },
    },
  ]);
  assert.deepEqual(shown(tree, "named"), { [ACCESS]: named(4).toHex() });
  assert.deepEqual(shown(tree, "masked"), { [ACCESS]: named(7, 5).toHex() });
  assert.deepEqual(shown(tree, "minimal"), {});
});

Deno.test("ACLs the kernel would refuse are none: it would refuse every access to the file", () => {
  const wrong = [
    hex(""),
    hex("02000000"),
    hex("0100000001000600ffffffff"),
    named(4).slice(0, -1),
    acl([1, 6, U], [4, 4, U]),
    acl([4, 4, U], [1, 6, U], [32, 0, U]),
    acl([1, 6, U], [2, 4, 1000], [4, 0, U], [32, 0, U]), // no mask
    acl([1, 9, U], [4, 4, U], [16, 4, U], [32, 0, U]),
    acl([1, 6, U], [2, 4, U], [4, 0, U], [16, 4, U], [32, 0, U]),
  ];
  for (const value of wrong) {
    const tree = treeOf([
      { name: "f", attributes: { [ACCESS]: value } },
      { name: "d/", type: "dir", attributes: { [DEFAULT]: value } },
    ]);
    assert.deepEqual(shown(tree, "f"), {}, value.toHex());
    assert.deepEqual(shown(tree, "d"), {}, value.toHex());
  }
});

Deno.test("a default ACL is handed on to what is made in its directory, and to no file before", () => {
  const tree = treeOf([
    { name: "d/", type: "dir", attributes: { [DEFAULT]: named(7, 5) } },
    { name: "d/file", mode: 0o640 },
    { name: "d/own", mode: 0o600, attributes: { [ACCESS]: named(6) } },
    { name: "d/sub/deep", mode: 0o755 },
    { name: "d/link", type: "symlink", linkname: "x" },
    { name: "f", attributes: { [DEFAULT]: named(7) } },
  ]);
  assert.deepEqual(shown(tree, "d/file"), { [ACCESS]: named(4).toHex() });
  assert.deepEqual(shown(tree, "d/own"), { [ACCESS]: named(0).toHex() });
  assert.deepEqual(Object.keys(shown(tree, "d/sub")).sort(), [ACCESS, DEFAULT]);
  assert.deepEqual(shown(tree, "d/sub/deep"), {
    [ACCESS]: acl(
      [1, 7, U],
      [2, 4, 1000],
      [4, 0, U],
      [16, 5, U],
      [32, 5, U],
    ).toHex(),
  });
  assert.deepEqual(shown(tree, "d/link"), {});
  assert.deepEqual(shown(tree, "f"), {});
  assert.equal(latin1(tree.target(find(tree, "d/link"))), "x");
});

Deno.test("capabilities of no known form are none: the kernel would run no such program", () => {
  for (
    const value of ["", "01", "00", CAPABILITY.slice(2), CAPABILITY + "00"]
  ) {
    const tree = treeOf([{
      name: "f",
      attributes: { "security.capability": hex(value) },
    }]);
    assert.deepEqual(shown(tree, "f"), {}, value);
  }
});
