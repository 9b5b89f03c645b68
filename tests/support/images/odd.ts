import { type Image, makeImage } from "./image.ts";
import { layerBlob, type LayerPacking } from "./layer.ts";
import { addBusybox } from "./pause.ts";
import { compressible, incompressible } from "./random.ts";
import { joinBytes, rawBytes, TarBuilder } from "./tar_builder.ts";

/** cap_net_raw+ep, as `setcap` stores it (struct vfs_cap_data, revision 2). */
const CAP_NET_RAW = Uint8Array.fromHex(
  "0100000200200000000000000000000000000000",
);
/** cap_net_bind_service+ep for the root of the user namespace of uid 1000 (revision 3). */
const CAP_BIND_ROOT_1000 = Uint8Array.fromHex(
  "0100000300040000000000000000000000000000e8030000",
);

const ALL_BYTES = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const MiB = 2 ** 20;
const DEEP = Array.from({ length: 60 }, (_, level) => `level-${level}`);

/**
 * Two names that together have every byte that a name may hold (one name has at most 255 bytes).
 */
function everyByteNames(): Uint8Array[] {
  const allowed = ALL_BYTES.filter((byte) => byte !== 0 && byte !== 0x2f);
  return [allowed.slice(0, 127), allowed.slice(127)];
}

/**
 * The lowest layer: a system that runs, and files that the layers above hide, replace and link to.
 */
function base(): TarBuilder {
  const tar = addBusybox(new TarBuilder())
    .dir("etc")
    .file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    .file("etc/hostname", "")
    .dir("tmp", { mode: 0o1777 })
    .dir("proc").dir("sys").dir("dev")
    .dir("hidden").file("hidden/gone", "gone").file("hidden/kept", "kept")
    .dir("hidden/gone-dir").file("hidden/gone-dir/below", "below")
    .file("hidden/replaced", "old")
    .file("hidden/file-to-dir", "file")
    .dir("hidden/dir-to-file").file("hidden/dir-to-file/below", "below")
    .symlink("hidden/link-to-file", "kept")
    .dir("opaque", { uid: 5 }).file("opaque/old", "old")
    .dir("opaque/sub").file("opaque/sub/old", "old")
    .dir("merged", { mode: 0o700 }).file("merged/lower", "lower");
  tar.dir("large");
  for (let i = 0; i < 2000; i++) {
    tar.file(`large/entry-${String(i).padStart(5, "0")}`, i % 7 ? "" : `${i}`);
  }
  return tar;
}

/** Every kind of entry, and every field at its limits. */
function kinds(): TarBuilder {
  const tar = new TarBuilder()
    .dir("modes")
    .file("modes/setuid", "s", { mode: 0o4755 })
    .file("modes/setgid", "s", { mode: 0o2755 })
    .file("modes/sticky", "s", { mode: 0o1644 })
    .file("modes/all", "s", { mode: 0o7777 })
    .file("modes/none", "secret", { mode: 0 })
    .dir("modes/setgid-dir", { mode: 0o2770, gid: 50 })
    .dir("modes/sticky-dir", { mode: 0o1777 })
    .dir("modes/none-dir", { mode: 0 })
    .dir("owners")
    .file("owners/daemon", "x", { uid: 1, gid: 2, uname: "daemon" })
    .file("owners/nobody", "x", { uid: 65_534, gid: 65_534 })
    .file("owners/large", "x", { uid: 3_000_000, gid: 4_000_000 })
    .dir("links")
    .file("links/first", "one inode", { mode: 0o640, uid: 9 })
    // As tar writers do, a hard link repeats its target's metadata: containerd applies it again.
    .hardlink("links/second", "links/first", { mode: 0o640, uid: 9 })
    .hardlink("links/third", "./links/second", { mode: 0o640, uid: 9 })
    .symlink("links/relative", "../etc/passwd")
    .symlink("links/absolute", "/etc/passwd")
    .symlink("links/dangling", "no/such/thing")
    .symlink("links/itself", "itself")
    .symlink("links/raw", Uint8Array.of(0xff, 0xfe))
    .symlink("links/long", `/${"x".repeat(250)}/${"y".repeat(250)}`)
    .hardlink("links/hard-to-symlink", "links/relative", { mode: 0o777 })
    .dir("devices")
    .charDevice("devices/null", { major: 1, minor: 3 }, { mode: 0o666 })
    .charDevice("devices/large", { major: 1234, minor: 56_789 })
    .blockDevice("devices/loop", { major: 7, minor: 300 }, { gid: 6 })
    .fifo("devices/pipe", { mode: 0o620 })
    .hardlink("devices/pipe-again", "devices/pipe", { mode: 0o620 })
    .dir("times")
    .file("times/nanos", "x", { mtime: { seconds: 1e9, nanos: 123_456_789 } })
    .file("times/zero", "x", { mtime: { seconds: 0, nanos: 0 } })
    .file("times/before-1970", "x", { mtime: { seconds: -86_401, nanos: 0 } })
    .file("times/before-nanos", "x", {
      mtime: { seconds: -2, nanos: 500_000_000 },
    })
    .file("times/year-2100", "x", {
      mtime: { seconds: 4_102_444_800, nanos: 1 },
    })
    .dir("times/dir", { mtime: { seconds: 12_345, nanos: 678_000_000 } })
    .symlink("times/link", "zero", { mtime: { seconds: 777, nanos: 0 } });
  return tar.dir("xattrs", { xattrs: { "user.on-dir": "yes" } })
    .file("xattrs/capability", "x", {
      mode: 0o755,
      xattrs: { "security.capability": CAP_NET_RAW },
    })
    .file("xattrs/namespaced", "x", {
      mode: 0o755,
      xattrs: { "security.capability": CAP_BIND_ROOT_1000 },
    })
    .file("xattrs/user", "x", {
      xattrs: {
        "user.text": "text",
        "user.empty": "",
        "user.binary": ALL_BYTES,
        "user.lines": "a=b\nc",
        "trusted.secret": "root only",
      },
    });
}

/** Unusual names, depth, order and size, which break careless readers of tar archives. */
function names(): TarBuilder {
  const tar = new TarBuilder().dir("names");
  for (const part of everyByteNames()) {
    tar.file(joinBytes([rawBytes("names/"), part]), "every byte");
  }
  tar.file(joinBytes([rawBytes("names/"), Uint8Array.of(0xff)]), "not UTF-8")
    .file("names/new\nline", "x").file("names/ back\\slash ", "x")
    .file("names/ünï", "NFC").file("names/u\u0308ni\u0308", "NFD")
    .file(`names/${"n".repeat(255)}`, "longest")
    .file("names/.wh", "no whiteout").file("names/.hidden", "x")
    .file(`long/${"a".repeat(150)}/${"b".repeat(150)}/file`, "long path")
    .file(`${DEEP.join("/")}/bottom`, "deep")
    .file("missing/parent/of/this", "x")
    .dir("empty-dir")
    .file("names/empty")
    .dir("./dotted").file("./dotted/file", "dotted")
    .file("twice", "first", { mode: 0o600, uid: 3 })
    .file("twice", "second and longer", { mode: 0o644 })
    .file("twice-kind", "a file")
    .symlink("twice-kind", "twice")
    .dir("twice-dir", { mode: 0o700 }).file("twice-dir/stays", "x")
    .dir("twice-dir", { mode: 0o755, uid: 4 });
  tar.whiteout("hidden/gone").whiteout("hidden/gone-dir")
    .file("hidden/replaced", "new")
    .whiteout("hidden/link-to-file")
    .dir("hidden/file-to-dir").file("hidden/file-to-dir/inside", "x")
    .whiteout("hidden/dir-to-file").file("hidden/dir-to-file", "now a file")
    .whiteout("never/was/here")
    .dir("opaque", { uid: 6 }).opaque("opaque").file("opaque/new", "new")
    .dir("opaque/sub").file("opaque/sub/new", "new")
    .dir("merged", { mode: 0o711 }).file("merged/upper", "upper");
  return tar
    .file(
      "big",
      joinBytes([
        incompressible(4 * MiB),
        compressible(4 * MiB),
        incompressible(4 * MiB, 2),
      ]),
    )
    .file("zeroes", new Uint8Array(5 * MiB + 3));
}

/**
 * Three layers with everything a layer can hold: whiteouts, an opaque directory, links of all
 * kinds, devices, modes, owners, times, extended attributes, names of any bytes, repeated entries,
 * missing parents, a large directory and a large file. It runs busybox.
 */
export function oddImage(
  options: {
    compression?: LayerPacking | readonly LayerPacking[];
    mediaTypes?: "oci" | "docker";
  } = {},
): Image {
  const { compression = "gzip", mediaTypes = "oci" } = options;
  return makeImage({
    layers: [base(), kinds(), names()].map((tar, index) =>
      layerBlob(tar, {
        compression: typeof compression === "string"
          ? compression
          : compression[index] ?? "gzip",
      })
    ),
    config: { env: ["PATH=/bin", "ODD=yes"], cmd: ["/bin/sh"] },
    mediaTypes,
  });
}
