/** Directories that a chain shows above its layers, where archives name files and not what they are in. */
import assert from "node:assert/strict";
import {
  type ChainBelow,
  chainDirectories,
  type ChainDirectory,
  decodeChain,
  encodeChain,
  type LayerTree,
  treeFacts,
  TreeLower,
} from "../../../../lib/layers/tree/mod.ts";
import { acl, NO_ID } from "../../../support/acls.ts";
import { type EntryFacts, treeOf } from "./support.ts";

/** The own directories of a chain of layers, bottom first. */
function ownOf(
  layers: readonly (readonly EntryFacts[])[],
  root: ChainBelow["root"] = "container",
): ChainDirectory | null {
  const trees: LayerTree[] = [];
  let listed: ChainDirectory | null = null;
  for (const entries of layers) {
    const tree = treeOf(entries);
    const lower = trees.toReversed().map((tree) => new TreeLower(() => tree));
    listed = chainDirectories(tree, { listed, lower, root });
    // As it comes back from disk.
    if (listed !== null) listed = decodeChain(encodeChain(listed));
    trees.push(tree);
  }
  return listed;
}

/** `path → mode uid:gid attributes` of every listed directory. */
function facts(
  directory: ChainDirectory | null,
  path = "",
): Record<string, string> {
  if (directory === null) return {};
  const { mode, uid, gid, xattrs } = directory.facts;
  const more = [...xattrs].map(([key, value]) => ` ${key}=${value.toHex()}`)
    .sort();
  return Object.assign(
    { [path || "/"]: `${mode.toString(8)} ${uid}:${gid}${more.join("")}` },
    ...directory.children.map((child) => facts(child, `${path}/${child.name}`)),
  );
}

/** `user::7 user:5:4 group::0 mask::M other::O` */
const named = (mask: number, other: number) =>
  acl([1, 7, NO_ID], [2, 4, 5], [4, 0, NO_ID], [16, mask, NO_ID], [
    ...[32, other, NO_ID] as const,
  ]);
const ACCESS = "system.posix_acl_access";
const DEFAULT = "system.posix_acl_default";

const BASE: EntryFacts[] = [
  { name: "tmp/", type: "dir", mode: 0o1777 },
  { name: "home/", type: "dir" },
  { name: "home/u/", type: "dir", mode: 0o700, uid: 1000, gid: 1000 },
  { name: "home/u/old" },
  {
    name: "srv/",
    type: "dir",
    mode: 0o2775,
    gid: 5,
    xattrs: { "SCHILY.xattr.user.a": "1" },
  },
];

Deno.test("a chain needs no directories of its own where every directory has an entry, or is new", () => {
  assert.equal(ownOf([BASE]), null);
  assert.equal(
    ownOf([BASE, [{ name: "home/", type: "dir" }, { name: "home/f" }]]),
    null,
  );
  assert.equal(ownOf([BASE, [{ name: "app/classes/Main" }]]), null);
  assert.equal(ownOf([BASE, [{ name: "home/f" }]]), null); // as by default anyway
  assert.equal(treeFacts(treeOf(BASE)).mayInherit, false);
});

Deno.test("implied directories are as they are below, with what they are in", () => {
  assert.deepEqual(
    facts(ownOf([BASE, [
      { name: "tmp/x" },
      { name: "home/u/new" },
      { name: "srv/deep/er/f" },
    ]])),
    {
      "/": "755 0:0",
      "/tmp": "1777 0:0",
      "/home": "755 0:0",
      "/home/u": "700 1000:1000",
      "/srv": "2775 0:5 user.a=31",
      // Made in a directory with the setgid bit, which chmod takes away again.
      "/srv/deep": "755 0:5",
    },
  );
});

Deno.test("unpacking looks below an opaque directory, though nothing of it is seen", () => {
  assert.deepEqual(
    facts(ownOf([BASE, [{ name: "home/u/a" }], [
      { name: "home/", type: "dir" },
      { name: "home/.wh..wh..opq" },
      { name: "home/u/b" },
    ]])),
    { "/": "755 0:0", "/home": "755 0:0", "/home/u": "700 1000:1000" },
  );
});

Deno.test("what is above a directory that needs it shows its own entry", () => {
  assert.deepEqual(
    facts(ownOf([BASE, [
      { name: "home/", type: "dir", mode: 0o711, uid: 7 },
      { name: "home/u/new" },
    ]])),
    { "/": "755 0:0", "/home": "711 7:0", "/home/u": "700 1000:1000" },
  );
});

Deno.test("layers above leave it, hide it, delete it, or say themselves what it is", () => {
  const implies = [{ name: "home/u/new" }];
  const kept = {
    "/": "755 0:0",
    "/home": "755 0:0",
    "/home/u": "700 1000:1000",
  };
  const over = (...entries: EntryFacts[]) =>
    facts(ownOf([BASE, implies, entries]));
  assert.deepEqual(over({ name: "other" }), kept);
  assert.deepEqual(over({ name: "home/u/again" }), kept);
  assert.deepEqual(over({ name: "home/", type: "dir", mode: 0o750 }), {
    ...kept,
    "/home": "750 0:0",
  });
  assert.deepEqual(over({ name: "home/.wh.u" }), {});
  assert.deepEqual(over({ name: ".wh.home" }), {});
  assert.deepEqual(over({ name: "home", size: 1 }), {});
  assert.deepEqual(
    over({ name: "home/", type: "dir" }, { name: "home/.wh..wh..opq" }),
    {},
  );
  assert.deepEqual(over({ name: "home/u/", type: "dir", mode: 0o755 }), {});
  // Deleted, and there again without an entry: as if it had never been.
  assert.deepEqual(
    facts(ownOf([BASE, implies, [{ name: "home/.wh.u" }], implies])),
    {},
  );
});

Deno.test("where the nearest mention has no entry either, the next one counts", () => {
  const layers = [
    BASE,
    [{ name: "home/u/a" }],
    [{ name: "home/u/b" }],
    [{ name: "x" }],
    [{ name: "home/u/c/d" }],
  ];
  assert.deepEqual(facts(ownOf(layers)), {
    ...{ "/": "755 0:0", "/home": "755 0:0", "/home/u": "700 1000:1000" },
  });
});

Deno.test("below, a directory may be reached through a link", () => {
  const base = [
    { name: "usr/lib/", type: "dir" as const, mode: 0o2750 },
    { name: "lib", type: "symlink" as const, linkname: "usr/lib" },
  ];
  assert.deepEqual(facts(ownOf([base, [{ name: "lib/x" }]])), {
    "/": "755 0:0",
    "/lib": "2750 0:0",
  });
});

Deno.test("a directory whose entry comes after what is in it keeps attributes of below", () => {
  assert.deepEqual(
    facts(ownOf([BASE, [
      { name: "srv/f" },
      {
        name: "srv/",
        type: "dir",
        mode: 0o700,
        xattrs: { "SCHILY.xattr.user.b": "2" },
      },
    ]])),
    { "/": "755 0:0", "/srv": "700 0:0 user.a=31 user.b=32" },
  );
});

Deno.test("a directory that was hidden with its parent is as unpacking made it in the hidden layer", () => {
  const hiding: EntryFacts[][] = [
    [{ name: "home/", type: "dir" }, { name: "home/.wh..wh..opq" }],
    [{ name: "home", type: "symlink", linkname: "nowhere" }],
  ];
  for (const layer of hiding) {
    const layers = [BASE, [{ name: "home/u/a/b" }], layer, [
      { name: "home/u/c" },
    ]];
    assert.equal(
      facts(ownOf(layers))["/home/u"],
      "700 1000:1000",
      String(layer[0]?.type),
    );
  }
});

Deno.test("what unpacking made in a hidden layer, in a directory with the setgid bit, keeps the group", () => {
  const layers: EntryFacts[][] = [
    BASE,
    [{ name: "srv/a/b" }],
    [{ name: "srv/", type: "dir" }, { name: "srv/.wh..wh..opq" }],
    [{ name: "srv/a/c" }],
  ];
  assert.equal(facts(ownOf(layers))["/srv/a"], "755 0:5");
});

Deno.test("the mark of an opaque root hides nothing: overlayfs does not look at it", () => {
  const layers: EntryFacts[][] = [
    BASE,
    [{ name: "home/u/a" }],
    [{ name: ".wh..wh..opq" }, { name: "x" }],
  ];
  assert.equal(facts(ownOf(layers))["/home/u"], "700 1000:1000");
});

Deno.test("a late entry's mode goes for the ACL of below, too", () => {
  const below = [{
    ...{ name: "d/", type: "dir" as const, mode: 0o770 },
    xattrs: { [`SCHILY.xattr.${ACCESS}`]: named(7, 0) },
  }];
  const late = [
    { name: "d/f" },
    { name: "d/", type: "dir" as const, mode: 0o701 },
  ];
  assert.deepEqual(facts(ownOf([below, late])), {
    "/": "755 0:0",
    "/d": `701 0:0 ${ACCESS}=${named(0, 1).toHex()}`,
  });
});

Deno.test("a default ACL is handed on to a directory that is as it is below", () => {
  const below = [{ name: "c/s/", type: "dir" as const, mode: 0o710 }];
  const above = [
    {
      ...{ name: "c/", type: "dir" as const },
      xattrs: { [`SCHILY.xattr.${DEFAULT}`]: named(7, 5) },
    },
    { name: "c/s/f" },
  ];
  const handedOn = `${ACCESS}=${named(1, 0).toHex()} ${DEFAULT}=${
    named(7, 5).toHex()
  }`;
  assert.equal(facts(ownOf([below, above]))["/c/s"], `710 0:0 ${handedOn}`);
  assert.equal(
    facts(ownOf([below, above, [{ name: "c/s/g" }]]))["/c/s"],
    `710 0:0 ${handedOn}`,
  );
});

Deno.test("a file where a layer below has a directory ends the search", () => {
  assert.deepEqual(
    ownOf([BASE, [{ name: "home", size: 1 }], [{ name: "home/u/x" }]]),
    null,
  );
});

Deno.test("the root is the container's, or the image's where that is shown by itself", () => {
  const odd = [{ name: "./", type: "dir" as const, mode: 0o711, uid: 7 }];
  assert.deepEqual(facts(ownOf([odd])), { "/": "755 0:0" });
  assert.deepEqual(facts(ownOf([odd, BASE])), {});
  assert.deepEqual(facts(ownOf([odd], "image")), {});
  assert.deepEqual(facts(ownOf([odd, BASE], "image")), { "/": "711 7:0" });
  assert.deepEqual(facts(ownOf([odd, BASE, BASE], "image")), {
    "/": "711 7:0",
  });
});

Deno.test("names of any bytes stay what they are", () => {
  const name = Uint8Array.of(0xff, 0x2f, 0xe9);
  const base = [{ name, type: "dir" as const, mode: 0o700 }];
  const own = ownOf([base, [{ name: Uint8Array.of(...name, 0x2f, 0x61) }]]);
  assert.equal(own?.children[0]?.name, "\xff");
  assert.equal(own?.children[0]?.children[0]?.name, "\xe9");
});

Deno.test("a list that names very many directories and no entry for one is refused", () => {
  const entries = Array.from({ length: 25_000 }, (_, at) => ({
    name: `d${at}/`,
    type: "dir" as const,
    mode: 0o700,
  }));
  const implies = entries.map(({ name }) => ({ name: `${name}f` }));
  assert.throws(() => ownOf([entries, implies]), /directories/);
});
