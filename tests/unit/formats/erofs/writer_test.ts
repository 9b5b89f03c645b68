import fc from "fast-check";
import assert from "node:assert/strict";
import {
  ErofsUnsupportedError,
  isErofsImageOf,
  writeErofsImage,
} from "../../../../lib/formats/erofs/mod.ts";
import {
  type LayerTree,
  TreeCompileError,
} from "../../../../lib/layers/tree/mod.ts";
import {
  type ErofsInode,
  ErofsReader,
  imageOf,
} from "../../../support/erofs/mod.ts";
import {
  type EntryFacts,
  latin1,
  treeOf,
  xattrsOf,
} from "../../layers/tree/support.ts";

const FILE_TYPES: Readonly<Record<number, number>> = {
  0o100000: 1,
  0o040000: 2,
  0o020000: 3,
  0o060000: 4,
  0o010000: 5,
  0o120000: 7,
};
const OPAQUE = { "trusted.overlay.opaque": "y" };

/** Every fact of the image is the tree's, and every name is found and listed in its place. */
function assertSameTree(tree: LayerTree, image: Uint8Array): ErofsReader {
  const reader = new ErofsReader(image);
  assert.equal(reader.inodes, tree.inodes);
  assert.equal(reader.blockSize, 512);
  const nids = new Map<number, number>([[0, reader.rootNid]]);
  const visit = (inode: number, parent: number): void => {
    const nid = nids.get(inode)!;
    const found = reader.inode(nid);
    assertSameInode(tree, inode, reader, found);
    if (!tree.isDirectory(inode)) return;
    const entries = reader.directory(found).flat();
    const names = entries.map(({ name }) => name);
    assert.deepEqual(names, [...names].sort(), "sorted by bytes");
    assert.equal(reader.lookup(found, ".")?.nid, nid);
    assert.equal(reader.lookup(found, "..")?.nid, nids.get(parent));
    const first = tree.first[inode]!;
    const count = tree.count[inode]!;
    assert.equal(entries.length, count + 2);
    for (let dirent = first; dirent < first + count; dirent++) {
      const from = tree.nameOffset[dirent]!;
      const name = latin1(
        tree.names.subarray(from, from + tree.nameLength[dirent]!),
      );
      const child = tree.direntInode[dirent]!;
      const entry = reader.lookup(found, name);
      assert.ok(entry !== null, `${name} is not found`);
      assert.equal(entry.type, FILE_TYPES[tree.mode[child]! & 0o170000]);
      assert.equal(nids.get(child) ?? entry.nid, entry.nid, "links share it");
      nids.set(child, entry.nid);
      visit(child, inode);
    }
  };
  visit(0, 0);
  assert.equal(new Set(nids.values()).size, tree.inodes);
  return reader;
}

function assertSameInode(
  tree: LayerTree,
  inode: number,
  reader: ErofsReader,
  found: ErofsInode,
): void {
  const type = tree.mode[inode]! & 0o170000;
  assert.equal(found.mode, tree.mode[inode]);
  assert.equal(found.uid, tree.uid[inode]);
  assert.equal(found.gid, tree.gid[inode]);
  assert.equal(found.nlink, tree.nlink[inode]);
  assert.equal(found.mtimeSeconds, tree.mtimeSeconds[inode]);
  assert.equal(found.mtimeNanos, tree.mtimeNanos[inode]);
  assert.deepEqual(found.xattrs, xattrsOf(tree, inode));
  if (type === 0o100000) {
    assert.equal(found.size, tree.size[inode]);
    if (found.size === 0) return;
    assert.ok(found.dataBlock !== null);
    const offset = found.dataBlock * 512;
    assert.equal(offset, tree.dataOffset[inode]);
    const end = offset / 512 + Math.ceil(found.size / 512);
    assert.ok(end <= reader.deviceBlocks, "data lies on the blob");
  } else if (type === 0o120000) {
    assert.deepEqual([...reader.body(found)], [...tree.target(inode)]);
  } else if (type !== 0o040000) assert.equal(found.union, tree.rdev[inode]);
}

const name = fc.uint8Array({ minLength: 1, maxLength: 255 }).map((bytes) =>
  bytes.map((byte) => byte === 0 || byte === 0x2f ? 0x2e : byte)
).filter((bytes) => !/^(\.|\.\.|\.wh\..*)$/s.test(latin1(bytes)));
const short = fc.constantFrom(..."!.a-", ".a", "..b", ".-", "...", "~", "zz")
  .filter((text) => text !== ".").map((text) => new TextEncoder().encode(text));
const pathOf = fc.array(fc.oneof(short, name), { minLength: 1, maxLength: 4 })
  .map((parts) =>
    Uint8Array.from(
      parts.flatMap((part, at) => at === 0 ? [...part] : [0x2f, ...part]),
    )
  );
const xattrs = fc.dictionary(
  fc.constantFrom(
    "SCHILY.xattr.user.a",
    "SCHILY.xattr.user.longer",
    "SCHILY.xattr.security.capability",
  ),
  fc.string({ maxLength: 700 }),
);
const facts: fc.Arbitrary<EntryFacts> = fc.record({
  name: pathOf,
  type: fc.constantFrom(
    ...["reg", "dir", "symlink", "char", "block", "fifo"] as const,
  ),
  mode: fc.nat(0o7777),
  uid: fc.nat(2 ** 32 - 1),
  gid: fc.nat(2 ** 32 - 1),
  devMajor: fc.nat(4095),
  devMinor: fc.nat(2 ** 20 - 1),
  size: fc.nat(5000),
  offset: fc.nat(100).map((block) => block * 512),
  linkname: fc.uint8Array({ minLength: 1, maxLength: 600 }).map((bytes) =>
    bytes.map((byte) => byte === 0 ? 1 : byte)
  ),
  modTime: fc.constantFrom(
    "2001-09-09T01:46:40.123456789Z",
    "2100-01-01T00:00:00Z",
    "1970-01-01T00:00:00.000000001Z",
  ),
  xattrs,
});

/** The tree of these entries; null where they are refused: a link may lead to itself. */
function takenTree(entries: readonly EntryFacts[]) {
  try {
    return treeOf(entries);
  } catch (error) {
    if (error instanceof TreeCompileError) return null;
    throw error;
  }
}

Deno.test("an image says what its tree says, whatever the tree", () => {
  fc.assert(
    fc.property(fc.array(facts, { maxLength: 60 }), (entries) => {
      const tree = takenTree(entries);
      fc.pre(tree !== null);
      assertSameTree(tree, imageOf(tree));
    }),
    { numRuns: 300 },
  );
});

Deno.test("hard links share an inode, whiteouts are devices 0:0, opaque marks are attributes", () => {
  const tree = treeOf([
    { name: "d/first" },
    { name: "second", type: "hardlink", linkname: "d/first" },
    { name: "d/.wh.gone" },
    { name: "d/.wh..wh..opq" },
  ]);
  const reader = assertSameTree(tree, imageOf(tree));
  const root = reader.inode(reader.rootNid);
  const d = reader.inode(reader.lookup(root, "d")!.nid);
  assert.deepEqual(d.xattrs, OPAQUE);
  assert.equal(
    reader.lookup(root, "second")!.nid,
    reader.lookup(d, "first")!.nid,
  );
  const gone = reader.inode(reader.lookup(d, "gone")!.nid);
  assert.equal(gone.mode & 0o170000, 0o020000);
  assert.equal(gone.union, 0);
});

Deno.test("a directory of 100 000 entries is found in, entry by entry", () => {
  const tree = treeOf(
    Array.from({ length: 100_000 }, (_, i) => ({ name: `d/file-${i}` })),
  );
  const reader = new ErofsReader(imageOf(tree));
  const d = reader.inode(
    reader.lookup(reader.inode(reader.rootNid), "d")!.nid,
  );
  const names = reader.directory(d).flat().map(({ name }) => name);
  assert.equal(names.length, 100_002);
  assert.deepEqual(names, [...names].sort());
});

Deno.test("files and layers of more than 4 GiB keep their sizes and places", () => {
  const GiB = 2 ** 30;
  const tree = treeOf([
    { name: "large", offset: 512, size: 5 * GiB + 1 },
    { name: "behind", offset: 700 * GiB, size: 700 },
    // More than one chunk.
    {
      name: "huge",
      offset: 8 * GiB,
      size: 1200 * GiB,
      xattrs: { "SCHILY.xattr.user.a": "b" },
    },
  ], 1300 * GiB);
  assertSameTree(tree, imageOf(tree));
});

Deno.test("the end of the blob is a whole block behind data that ends within one", () => {
  const tree = treeOf([{ name: "last", offset: 512, size: 100 }], 612);
  assertSameTree(tree, imageOf(tree));
  assert.throws(
    () => imageOf(tree, 512),
    (error) =>
      error instanceof ErofsUnsupportedError && /behind the blob/.test(
        error.message,
      ),
  );
});

Deno.test("what the format cannot say is refused, with the reason", () => {
  const refused = (tree: LayerTree, why: RegExp) =>
    assert.throws(() => imageOf(tree), (error) => {
      assert.ok(error instanceof ErofsUnsupportedError, String(error));
      assert.match(error.message, why);
      return true;
    });
  refused(treeOf([{ name: "a", offset: 513, size: 1 }]), /byte 513/);
  refused(treeOf([{ name: "a", size: 1 }], 3 * 2 ** 40), /of data/);
  refused(
    treeOf([{
      name: "a",
      xattrs: { "SCHILY.xattr.user.a": "x".repeat(65_536) },
    }]),
    /65536 bytes/,
  );
  refused(
    treeOf([{
      name: "a",
      xattrs: Object.fromEntries(
        Array.from("abcdef", (letter) => [
          `SCHILY.xattr.user.${letter}`,
          letter.repeat(60_000),
        ]),
      ),
    }]),
    /attributes of/,
  );
});

Deno.test("attributes the kernel has no name for, and ACLs that are none, are left out", () => {
  const acl = latin1(
    Uint8Array.of(2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255),
  );
  const tree = treeOf([{
    name: "a",
    xattrs: {
      "SCHILY.xattr.com.apple.provenance": "x",
      "SCHILY.xattr.system.posix_acl_access": "not an ACL",
      "SCHILY.xattr.system.posix_acl_default": "\x02\0\0\0",
      "SCHILY.xattr.user.": "no name",
      "SCHILY.xattr.user.kept": acl.slice(0, 8),
    },
  }]);
  const reader = new ErofsReader(imageOf(tree));
  const root = reader.inode(reader.rootNid);
  const a = reader.inode(reader.lookup(root, "a")!.nid);
  assert.deepEqual(a.xattrs, {
    "user.kept": acl.slice(0, 8),
  });
});

Deno.test("equal trees of two layers have other UUIDs, by which overlayfs tells them apart", () => {
  const tree = treeOf([{ name: "a/b", size: 7 }]);
  const uuids = ["soci-1", "soci-2", "soci-1"].map((volume) =>
    writeErofsImage(tree, {
      blobBytes: 4096,
      treeChecksum: tree.checksum,
      volume,
    }).slice(1024 + 48, 1024 + 64).toHex()
  );
  assert.notEqual(uuids[0], uuids[1]);
  assert.equal(uuids[0], uuids[2]);
});

Deno.test("an image is known again by its tree and blob, and by no other", () => {
  const tree = treeOf([{ name: "a/b", size: 7 }]);
  const other = treeOf([{ name: "a/c", size: 7 }]);
  const image = imageOf(tree, 4096);
  const source = { blobBytes: 4096, treeChecksum: tree.checksum };
  assert.ok(isErofsImageOf(image, source));
  assert.ok(!isErofsImageOf(image, { ...source, blobBytes: 4608 }));
  assert.ok(
    !isErofsImageOf(image, { ...source, treeChecksum: other.checksum }),
  );
});

Deno.test("a torn image is not taken for a whole one", () => {
  const tree = treeOf([{ name: "a/b", size: 7 }, { name: "c" }]);
  const image = imageOf(tree);
  const source = {
    blobBytes: tree.spanStarts[1]!,
    treeChecksum: tree.checksum,
  };
  assert.ok(isErofsImageOf(image, source));
  assert.ok(!isErofsImageOf(image.slice(0, -512), source));
  assert.ok(!isErofsImageOf(new Uint8Array(0), source));
  fc.assert(fc.property(
    fc.nat(image.length - 1),
    fc.integer({ min: 1, max: 255 }),
    (at, flip) => {
      const torn = image.slice();
      torn[at]! ^= flip;
      assert.ok(!isErofsImageOf(torn, source));
    },
  ));
});
