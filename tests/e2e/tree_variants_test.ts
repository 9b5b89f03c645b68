/**
 * Many small images with archives at the edges, each unpacked by containerd beside it: directories
 * that layers hide and make again, links of every kind, names that come several times, numbers and
 * attributes at their limits.
 */
import assert from "node:assert/strict";
import { onEveryFace } from "../support/erofs/mod.ts";
import {
  joinBytes,
  layerBlob,
  makeImage,
  rawBytes,
  type RawName,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { acl, NO_ID } from "../support/acls.ts";
import { LazyHost } from "./host.ts";
import { bothWays, differences } from "./trees.ts";

const at = (seconds: number) => ({ mtime: { seconds, nanos: 0 } });
const ACCESS = "system.posix_acl_access";
const DEFAULT = "system.posix_acl_default";
/** All rights for uid 1000. */
const FREE = acl(
  ...[[1, 7, NO_ID], [2, 7, 1000], [4, 5, NO_ID]] as const,
  ...[[16, 7, NO_ID], [32, 5, NO_ID]] as const,
);
/** Some for uid 77, and none for others. */
const CLOSED = acl(
  ...[[1, 7, NO_ID], [2, 5, 77], [4, 5, NO_ID]] as const,
  ...[[16, 5, NO_ID], [32, 0, NO_ID]] as const,
);
const CAPABILITY = Uint8Array.fromHex(
  "0100000200200000000000000000000000000000",
);
const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);

const tar = () => new TarBuilder();
const name = (...parts: RawName[]) => joinBytes(parts.map(rawBytes));
/** `café` in Latin-1. */
const CAFE = name("caf", Uint8Array.of(0xe9));

/** What the root's own entry says goes for nothing, and its opaque mark neither. */
const roots = () => [
  tar().dir("tmp", { mode: 0o1777 })
    .dir("s", { mode: 0o700, uid: 5 }),
  tar().dir(".", {
    ...{ mode: 0o2775, uid: 5, gid: 50 },
    xattrs: { [DEFAULT]: FREE, "user.r": "1" },
  }).file("imp/lied/f", "x").file("f", "x").dir("own"),
  tar().file("tmp/a", "a").file("s/a", "a"),
  tar().opaque(".").file("new", "new"),
  tar().file("tmp/b", "a"),
];

/** Directories without entries that layers between hide, delete or turn into links. */
const hidden = () => [
  tar().dir("h", { mode: 0o750 })
    .dir("h/sub", { mode: 0o700, uid: 9 })
    .dir("d", { mode: 0o711, gid: 7 }).dir("p", { mode: 0o2770, gid: 8 })
    .dir("t", {
      mode: 0o1777,
      xattrs: { "user.t": EVERY_BYTE, [ACCESS]: CLOSED, [DEFAULT]: CLOSED },
    })
    .dir("q", { mode: 0o700 }).dir("q/q", { mode: 0o701 })
    .dir("q/q/q", { mode: 0o702 }),
  tar().file("h/sub/new", "x").file("d/x", "x").file("p/a/b/c", "x")
    .file("t/x", "x"),
  tar().dir("h").opaque("h").symlink("d", "elsewhere").file("q/q/q/f", "x"),
  tar().file("h/sub/again", "x").file("d/y", "x").file("p/a/b/d", "x"),
  tar().whiteout("p").opaque("q").file("t/y/y", "x"),
  tar().file("p/z", "x").file("q/q/q/g", "x").file("h/sub/third/x", "x"),
  tar().whiteout("t"),
  tar().dir("t", { mode: 0o710 }),
  tar().file("t/z", "x").file("h/o/../sub/fourth", "x"),
];

/** Entries of directories after what is in them, and ACLs below. */
const late = () => [
  tar()
    .dir("a", {
      ...{ mode: 0o770, uid: 4 },
      xattrs: { [ACCESS]: CLOSED, "user.l": "1" },
    })
    .dir("b", { mode: 0o2775, gid: 6 })
    .dir("c").dir("c/sub", { mode: 0o700 }),
  tar().file("a/f", "x").dir("a", { mode: 0o701, uid: 3 })
    .file("b/f", "x").dir("b", { mode: 0o755 }).file("b/s/f", "x")
    .dir("c", { xattrs: { [DEFAULT]: FREE } })
    .file("c/sub/f", "x").file("c/n/m/f", "x"),
  tar().file("b/u/f", "x").symlink("c/sub/g/link", "x"),
];

const links = () => [
  tar().symlink("low", "lowdir").dir("lowdir", { mode: 0o700 })
    .dir("gone").file("gone/x", "x").symlink("ldir", "gone")
    .file("lowfile", "x").dir("becomes-file").file("becomes-file/a", "a")
    .symlink("lowabs", "/lowdir").symlink("lowout", "../../lowdir"),
  tar().whiteout("low").whiteout("ldir").whiteout("gone")
    .dir("lowfile").file("lowfile/in", "x").file("becomes-file", "a file")
    .file("lowabs/f", "x").file("lowout/g/f", "x"),
  tar().file("low/f", "x")
    .symlink("root", "/").file("root/by-root", "x")
    .symlink("dot", ".").file("dot/by-dot", "x")
    .symlink("up", "..").file("up/by-up/f", "x")
    .dir("m").symlink("m/s", "../m/./n/../n").dir("m/n", { mode: 0o711 })
    .file("m/s/f", "x").file("m//n///double", "x")
    .file("./m/./n/./single", "x").file("m/n/none/../text", "x")
    .symlink("m/sym", "target", {
      uid: 3,
      xattrs: { "security.label": "l", "security.capability": CAPABILITY },
    })
    .hardlink("m/of-sym", "m/sym", {
      ...{ mode: 0o644, uid: 8, gid: 9, ...at(99) },
      xattrs: { "security.two": "2", "user.z": "z" },
    })
    .file("m/src", "one", { xattrs: { "user.a": "1" } })
    .hardlink("m/h1", "./m//src").file("m/src", "two")
    .hardlink("m/h2", "m/none/../src").hardlink("m/h3", "/m/src")
    .hardlink("m/h4", "../../m/src").hardlink("m/h5", "root/m/s/../src")
    .hardlink("m/h6", "m/src/").hardlink("m/h1", "m/h2")
    .dir("m/rep").file("m/rep/f", "keep").hardlink("m/h7", "m/rep/f")
    .hardlink("m/h8", "m/h7")
    .symlink("m/chain1", "chain2").symlink("m/chain2", "chain3/")
    .symlink("m/chain3", "/m/n").file("m/chain1/deep/f", "x")
    .symlink("m/to-file", "src").symlink("m/to-link", "to-file"),
];

/** The same name several times in one layer. */
const again = () => [
  tar().dir("e").file("e/low", "x")
    .dir("g", { mode: 0o700 }).file("g/low", "x"),
  tar().dir("p", { mode: 0o700 }).file("p/c", "c")
    .dir("r").symlink("v", "s").symlink("v", "s/deep").file("v/three", "3")
    .dir("s").symlink("r2", "s").file("r2/one", "1").file("r2", "file")
    .dir("r2").file("r2/two", "2")
    .fifo("v2").charDevice("v2", { major: 5, minor: 1 }).file("v2", "z")
    .whiteout("e").dir("e").file("e/new", "n")
    .file("g/new", "n").file("g", "file").dir("g").file("g/newer", "n"),
];

const limits = () => [
  tar(),
  tar()
    .file("u/31", "x", { uid: 2 ** 31, gid: 2 ** 31 + 5 })
    .file("u/33", "x", { pax: { uid: "4294967303", gid: "8589934591" } })
    .file("u/minus", "x", { pax: { uid: "-2", gid: "-1" } })
    .file("t/far", "x", at(253_402_300_800))
    .file("t/9999", "x", at(253_402_300_799))
    .file("t/minus", "x", { mtime: { seconds: -1, nanos: 500_000_000 } })
    .file("t/fraction", "x", { pax: { mtime: "1234.99999999999" } })
    .file("t/dot", "x", { pax: { mtime: "77." } })
    .file("t/empty", "x", { uid: 8, pax: { mtime: "", path: "", uid: "" } })
    .charDevice("dev/big", { major: 4095, minor: 1_048_575 })
    .charDevice("dev/zero", { major: 0, minor: 0 })
    .blockDevice("dev/b0", { major: 0, minor: 0 })
    .blockDevice("dev/b", { major: 259, minor: 70_000 }, {
      ...{ mode: 0o7777, uid: 9 },
      xattrs: { "security.b": EVERY_BYTE },
    })
    .fifo("dev/f", {
      mode: 0o7777,
      xattrs: { "security.f": "x", "security.capability": CAPABILITY },
    })
    .file("x/bytes", "x", {
      xattrs: {
        ...{ "user.bin": EVERY_BYTE, "user.nul": Uint8Array.of(0, 0) },
        ...{ "user.empty": "", "user.lines": "\n\n", "user.\u00fc\u4e2d": "v" },
        [`user.${"k".repeat(250)}`]: "v",
      },
    })
    .file(name("x/", Uint8Array.of(0xff, 0x5c, 0x0a)), "x", {
      xattrs: { "user.big": new Uint8Array(3000).fill(7) },
    })
    .dir("x/d", {
      mode: 0o1777,
      xattrs: { "user.d": "", "security.capability": CAPABILITY },
    })
    .file("x/marks", "x", {
      xattrs: {
        "trusted.overlay.opaque": "y",
        "trusted.overlay.redirect": "/x",
        "user.overlay.whiteout": "y",
      },
    })
    .dir("x/marked", {
      xattrs: { "trusted.overlay.opaque": "y", "user.overlay.opaque": "x" },
    })
    .symlink("x/longest", "t".repeat(4095)).symlink("x/slash", "a/")
    .symlink("x/raw", Uint8Array.of(0xe9, 0x0a, 1))
    .dir(`x/${"e".repeat(254)}\u007f`)
    .file(`x/${"e".repeat(254)}\u007f/${"o".repeat(255)}`, "x")
    .file("x/mode", "x", { mode: 0o107777 })
    .file("x/mode-bits", "x", { mode: 0o1000644 })
    .globalPax({ uid: "77", mtime: "5", "SCHILY.xattr.user.g": "g" })
    .file("x/after-global", "x")
    .file("x/cap", "x", {
      mode: 0o4755,
      xattrs: { "security.capability": CAPABILITY, [ACCESS]: FREE },
    })
    .hardlink("x/cap2", "x/cap", { mode: 0o2640, uid: 44 }),
];

/** Names, links and numbers that are too long for a header, as GNU tar writes them. */
const gnu = () => [
  tar().dir("d", { mode: 0o700 }).dir("w"),
  new TarBuilder({ format: "gnu" })
    .file(`d/${"n".repeat(200)}`, "x")
    .file(`d/${"p".repeat(150)}/${"q".repeat(255)}`, "x")
    .symlink(`w/${"s".repeat(120)}`, "t".repeat(300))
    .hardlink(`w/${"h".repeat(130)}`, `d/${"n".repeat(200)}`)
    .dir(`w/${"e".repeat(140)}`, { mode: 0o1711 })
    .file("w/minus", "x", { mtime: { seconds: -5, nanos: 0 }, uid: -1 })
    .file("w/two", "x", { uid: -2, gid: 2 ** 31 })
    .file("w/far", "x", at(2 ** 40)),
  tar().whiteout(`d/${"p".repeat(150)}`)
    .file(`w/.wh.${"s".repeat(120)}`).whiteout(`w/${"l".repeat(255)}`),
];

/** Directories' names that programs trip over. */
const names = () => [
  tar().dir(CAFE, { mode: 0o700, uid: 7 })
    .dir(name(CAFE, "/s"), { mode: 0o1777, xattrs: { "user.x": "y" } })
    .symlink("to-cafe", CAFE)
    .dir("__proto__", { mode: 0o700 })
    .dir("constructor", { mode: 0o711, xattrs: { "user.__proto__": "1" } }),
  tar().file(name(CAFE, "/s/f"), "x").file("to-cafe/f", "x")
    .file("__proto__/f", "x").file("constructor/f", "x"),
  tar().file(name(CAFE, "/s/g"), "x").file("__proto__/g", "x")
    .whiteout("constructor"),
];

/** A sparse file of one byte (GNU's format 1.0): its layer cannot be served, so containerd unpacks it. */
const sparse = (layer: TarBuilder) =>
  layer.file("sparse", `1\n0\n1\n${"\0".repeat(506)}x`, {
    pax: {
      "GNU.sparse.major": "1",
      "GNU.sparse.minor": "0",
      "GNU.sparse.name": "sparse",
      "GNU.sparse.realsize": "1",
    },
  });

interface Variant {
  readonly layers: readonly TarBuilder[];
  /** Every second layer, from this one on, is unpacked; the others lie above, below and between. */
  readonly unpackedFrom?: 0 | 1;
}

const IMAGES: Readonly<Record<string, Variant>> = {
  roots: { layers: roots() },
  hidden: { layers: hidden() },
  late: { layers: late() },
  links: { layers: links() },
  again: { layers: again() },
  limits: { layers: limits() },
  names: { layers: names() },
  gnu: { layers: gnu() },
  "hidden-mixed": { layers: hidden(), unpackedFrom: 0 },
  "hidden-other": { layers: hidden(), unpackedFrom: 1 },
  "late-mixed": { layers: late(), unpackedFrom: 0 },
  "links-mixed": { layers: links(), unpackedFrom: 0 },
  "names-mixed": { layers: names(), unpackedFrom: 0 },
};

onEveryFace("odd archives are unpacked as containerd does", async (face) => {
  await using registry = startRegistry();
  await using host = await LazyHost.start({ face });
  const start = BigInt(Date.now()) * 1_000_000n;
  const found: Record<string, unknown> = {};
  for (const [name, { layers, unpackedFrom }] of Object.entries(IMAGES)) {
    const wanted = layers.map((_, index) =>
      index % 2 === unpackedFrom ? "unpacked" : "served"
    );
    const image = makeImage({
      layers: layers.map((tar, index) =>
        layerBlob(wanted[index] === "served" ? tar : sparse(tar))
      ),
    });
    const { chainId, outcomes } = await bothWays(
      host,
      registry,
      `${name}:1`,
      image,
    );
    assert.deepEqual(
      // A layer that an image before had, in the same chain.
      outcomes.map((outcome) => outcome === "present" ? "served" : outcome),
      wanted,
      `${name}\n${host.logs()}`,
    );
    // Unpacking gives a directory without an entry the time it runs at.
    const other = await differences(
      host,
      chainId,
      (_, mtimeNs) => mtimeNs > start,
    );
    if (other.length > 0) found[name] = other;
  }
  assert.deepEqual(found, {}, host.logs());
});
