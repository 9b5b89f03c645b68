import { TarBuilder } from "../images/mod.ts";

const EPOCH = { seconds: 0, nanos: 0 };
const JIB_TIME = { seconds: 1, nanos: 0 };
const OLD_CAPABILITY = Uint8Array.fromHex(
  "0100000200200000000000000000000000000000",
);

/** The layer below: a system whose directories differ from newly made ones. */
function below(): TarBuilder {
  return new TarBuilder().dir("tmp", { mode: 0o1777 })
    .dir("home").dir("home/app", { mode: 0o750, uid: 1001, gid: 1001 })
    .dir("usr").dir("usr/lib").file("usr/lib/old", "old")
    .dir("opt", { mode: 0o2775, gid: 20 }).dir("var").dir("var/run")
    .dir("cache").file("cache/stale", "x").dir("logs", { mode: 0o700 })
    .file("logs/old", "x");
}

/**
 * Layers in the style of image builders, each with the layer below it. A style is how a tool writes
 * names, parents, times and whiteouts, not what it packs.
 */
export const byHand: ReadonlyMap<string, () => TarBuilder[]> = new Map([
  ["BuildKit", () => [
    below(),
    // Every parent has an entry; deletions are whiteouts; file capabilities are PAX records.
    new TarBuilder().dir("home/").dir("home/app/", {
      mode: 0o750,
      uid: 1001,
      gid: 1001,
    }).file("home/app/server", "s", {
      mode: 0o755,
      xattrs: { "security.capability": OLD_CAPABILITY },
    }).hardlink("home/app/server-2", "home/app/server", {
      mode: 0o755,
      xattrs: { "security.capability": OLD_CAPABILITY },
    }).dir("cache/").whiteout("cache/stale").dir("logs/", { mode: 0o700 })
      .opaque("logs").file("logs/new", "x"),
  ]],
  ["kaniko", () => [
    below(),
    // Absolute names, including the root.
    new TarBuilder().dir("/", { mode: 0o755 }).dir("/home/")
      .dir("/home/app/", { mode: 0o700, uid: 1001, gid: 1001 })
      .file("/home/app/f", "f").symlink("/usr/lib/link", "/usr/lib/old")
      .hardlink("/usr/lib/again", "/home/app/f")
      .whiteout("/cache/stale").whiteout("/logs"),
  ]],
  ["Jib", () => [
    below(),
    // Directories that it packs, but not their parents; one second after 1970.
    new TarBuilder().file("home/app/libs/dep.jar", "jar", { mtime: JIB_TIME })
      .dir("app/classes", { mtime: JIB_TIME })
      .file("app/classes/Main.class", "class", { mtime: JIB_TIME })
      .file("app/resources/p.properties", "p", { mtime: JIB_TIME })
      .file("opt/tool/run", "x", { mode: 0o755, mtime: JIB_TIME }),
  ]],
  ["ko", () => [
    below(),
    new TarBuilder().file("/ko-app/server", "elf", {
      mode: 0o555,
      mtime: EPOCH,
    }).symlink("/var/run/ko/asset", "../../../ko-app/server", {
      mtime: EPOCH,
    }).file("/tmp/ready", "x", { mtime: EPOCH }),
  ]],
  ["Bazel", () => [
    below(),
    // Names that begin with ./, only files, links through links.
    new TarBuilder().file("./opt/bin/tool", "tool", {
      mode: 0o555,
      mtime: EPOCH,
    }).symlink("./opt/current", "bin", { mtime: EPOCH })
      .file("./opt/current/other", "o", { mtime: EPOCH })
      .hardlink("./opt/hard", "./opt/current/tool", {
        mode: 0o555,
        mtime: EPOCH,
      })
      .file("./home/app/data", "d", { uid: 1001, gid: 1001, mtime: EPOCH }),
  ]],
  ["tar of single files", () => [
    below(),
    new TarBuilder().file("tmp/one", "1").file("home/app/.bashrc", "b", {
      uid: 1001,
      gid: 1001,
    }).file("usr/lib/new", "n").file("home/app/a/b/c", "deep"),
    new TarBuilder().file("home/app/.profile", "p").whiteout("usr/lib/old"),
    new TarBuilder().whiteout("home/app/a").file("opt/x", "x"),
  ]],
]);
