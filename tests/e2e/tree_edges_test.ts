/** Archives at the edges of what tar writers make: the tree is the one containerd unpacks, on both faces. */
import assert from "node:assert/strict";
import { readInSteps } from "../support/compare/mod.ts";
import { run, tryRun } from "../support/host/mod.ts";
import {
  addBusybox,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { onEveryFace } from "../support/erofs/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost } from "./host.ts";
import { acl, NO_ID } from "../support/acls.ts";
import { Mounted } from "./mounted.ts";
import { bothWays, differences, withMounted } from "./trees.ts";

const CAP_NET_RAW = Uint8Array.fromHex(
  "0100000200200000000000000000000000000000",
);
const CAP_OTHER = Uint8Array.fromHex(
  "0100000200040000000000000000000000000000",
);
/** user::rw- user:1000:r-- group::--- mask::r-- other::--- */
const NAMED = acl(
  ...[[1, 6, NO_ID], [2, 4, 1000], [4, 0, NO_ID]] as const,
  ...[[16, 4, NO_ID], [32, 0, NO_ID]] as const,
);
/** The same with all rights for uid 1000. */
const HANDED_ON = acl(
  ...[[1, 7, NO_ID], [2, 7, 1000], [4, 5, NO_ID]] as const,
  ...[[16, 7, NO_ID], [32, 5, NO_ID]] as const,
);
const ACCESS = "system.posix_acl_access";
const DEFAULT = "system.posix_acl_default";
const U32 = 2 ** 32;

const base = () =>
  addBusybox(new TarBuilder())
    .dir("tmp", { mode: 0o1777 })
    .dir("home").dir("home/u", { mode: 0o700, uid: 1000, gid: 1000 })
    .file("home/u/old", "old", { uid: 1000 })
    .dir("srv", { mode: 0o2775, gid: 5, xattrs: { "user.on": "srv" } })
    .dir("acls", { xattrs: { [DEFAULT]: HANDED_ON } })
    .dir("usr").dir("usr/share", { mode: 0o711, uid: 3 })
    .symlink("share", "usr/share")
    .dir("gone", { mode: 0o700 }).file("gone/x", "x")
    .dir("hidden", { mode: 0o750 }).dir("hidden/sub", { mode: 0o700 })
    .file("hidden/sub/x", "x");

const links = () =>
  new TarBuilder()
    .dir("l").dir("l/usr").dir("l/usr/lib", { uid: 5 })
    .file("l/usr/lib/old", "old")
    .symlink("l/lib", "usr/lib").file("l/lib/x.so", "x")
    .dir("l/lib/sub", { mode: 0o750 }).file("l/lib/sub/z", "z")
    .symlink("l/abs", "/l/usr/lib").file("l/abs/y.so", "y")
    .symlink("l/out", "../../../../etc/outside").file("l/out/f", "in the image")
    .symlink("l/nowhere", "not/yet").file("l/nowhere/f", "made")
    .symlink("l/a", "b").symlink("l/b", "usr").file("l/a/two", "links")
    .file("l/x/../cleaned", "c").file("../../climbs", "c")
    .file("l/lib/../by-text", "beside the link")
    .hardlink("l/hard", "l/lib/x.so").hardlink("l/hard2", "l/usr/../lib/old")
    .symlink("l/replaced", "usr/lib").dir("l/replaced").file(
      "l/replaced/f",
      "f",
    )
    .file("l/first", "first").hardlink("l/kept", "l/first")
    .file("l/first", "second");

const metadata = () =>
  new TarBuilder()
    .dir("m").file("m/cap", "x", {
      mode: 0o755,
      xattrs: { "security.capability": CAP_NET_RAW, "user.x": "1" },
    })
    // No header of a link says what its file had: unpacking takes capabilities away.
    .hardlink("m/cap2", "m/cap", { mode: 0o4755 })
    .file("m/kept", "x", { xattrs: { "security.capability": CAP_NET_RAW } })
    .hardlink("m/kept2", "m/kept", {
      uid: 7,
      xattrs: { "security.capability": CAP_OTHER, "user.y": "2" },
    })
    .symlink("m/sym", "cap", {
      xattrs: { "user.no": "x", "security.label": "l" },
    })
    .fifo("m/pipe", { xattrs: { "user.no": "x", "security.label": "p" } })
    .charDevice("m/null", { major: 1, minor: 3 }, {
      xattrs: { "security.label": "d" },
    })
    .file("m/unknown", "x", {
      xattrs: { "com.apple.x": "1", "system.no": "1" },
    })
    .file("m/owner", "x", { uid: U32 - 2, gid: U32 - 2 })
    .file("m/no-owner", "x", { uid: U32 - 1, gid: U32 - 1 })
    .file("m/late", "x", { mtime: { seconds: 9_223_372_037, nanos: 0 } })
    .file("m/last", "x", {
      mtime: { seconds: 9_223_372_036, nanos: 854_775_807 },
    })
    .file("m/early", "x", { mtime: { seconds: -1, nanos: 1 } })
    .file("m/acl", "secret", { mode: 0o640, xattrs: { [ACCESS]: NAMED } })
    .file("m/acl-mode", "x", { mode: 0o777, xattrs: { [ACCESS]: NAMED } })
    .dir("m/acls", { mode: 0o770, xattrs: { [DEFAULT]: HANDED_ON } })
    .file("m/acls/file", "x", { mode: 0o640 })
    .dir("m/acls/dir", { mode: 0o700 }).file("m/acls/dir/file", "x")
    .symlink("m/acls/link", "file")
    .dir("m/again", { mode: 0o700, xattrs: { "user.a": "1" } })
    .dir("m/again", { mode: 0o750, uid: 4, xattrs: { "user.b": "2" } });

/** Files alone, as Jib, ko and Bazel write them. */
const implying = () =>
  new TarBuilder()
    .file("tmp/new", "x").file("home/u/new", "x", { uid: 1000 })
    .file("srv/deep/er/file", "x").file("share/file", "x")
    .file("app/classes/Main", "x").file("hidden/sub/new", "x");

const hiding = () =>
  new TarBuilder().whiteout("gone").dir("hidden", { mode: 0o755, uid: 2 })
    .opaque("hidden").file("hidden/sub/opaque", "x");

const last = () =>
  // (containerd cannot unpack `gone/again/file` here: it looks below the whiteout.)
  new TarBuilder().file("gone/file", "x").file("home/u/third", "x")
    .dir("srv", { mode: 0o700 });

/** Directories that some layer implies: unpacking gives them the time it runs at. */
const IMPLIED =
  /^(\.|tmp|home(\/u)?|srv(\/deep(\/er)?)?|share|app(\/classes)?|hidden(\/sub)?|gone|etc(\/outside)?|l\/not(\/yet)?)$/;

const edges = () =>
  makeImage({
    layers: [base(), links(), metadata(), implying(), hiding(), last()]
      .map((tar) => layerBlob(tar)),
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });

/** What somebody sees and may do in a mounted image, each command with its exit code. */
async function observations(directory: string): Promise<string[]> {
  const as = (uid: number, ...command: string[]) => [
    ...["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"],
    ...command,
  ];
  const commands = [
    as(1000, "cat", `${directory}/m/acl`),
    as(1001, "cat", `${directory}/m/acl`),
    as(1000, "cat", `${directory}/home/u/old`),
    as(1001, "ls", `${directory}/home/u`),
    as(1001, "cat", `${directory}/m/acls/file`),
    as(1000, "cat", `${directory}/m/acls/file`),
    ["getfattr", "-h", "-d", "-m", "-", `${directory}/m/sym`],
    ["getfattr", "-d", `${directory}/bin/busybox`],
    ["cp", "-a", `${directory}/m`, `${directory}.copy`],
    ["tar", "--xattrs", "--acls", "-cf", "/dev/null", "-C", directory, "m"],
  ];
  const seen: string[] = [];
  for (const [program = "", ...args] of commands) {
    const { code, stdout, stderr } = await tryRun(program, args, {
      timeoutMs: 20_000,
    });
    const line = `${program} ${args.at(-1)}: ${code} ${stdout}${stderr}`;
    seen.push(
      line.replaceAll(directory, "ROOT").replaceAll(directory.slice(1), "ROOT"),
    );
  }
  await run("rm", ["-rf", `${directory}.copy`]);
  return seen;
}

onEveryFace(
  "edges of archives are unpacked as containerd does, and what they forbid is forbidden",
  async (face) => {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ face });
    const { chainId, outcomes } = await bothWays(
      host,
      registry,
      "edges:1",
      edges(),
    );
    assert.deepEqual(new Set(outcomes), new Set(["served"]), host.logs());
    assert.deepEqual(
      await differences(host, chainId, (path) => IMPLIED.test(path)),
      [],
    );
    await Deno.chmod(host.folder, 0o755); // for the users that are tried
    const [lazy, unpacked] = await Promise.all(
      ["soci", "overlayfs"].map((snapshotter) =>
        withMounted(host, chainId, snapshotter, "prepare", observations)
      ),
    );
    assert.deepEqual(lazy, unpacked);
    assert.match(lazy?.[0] ?? "", /: 0 secret/);
    assert.match(lazy?.[1] ?? "", /denied/);
  },
);

onEveryFace(
  "own directories live through a killed daemon and go with their image",
  async (face) => {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ face });
    const { chainId, reference } = await bothWays(
      host,
      registry,
      "edges:1",
      edges(),
    );
    await host.killDaemon();
    await host.startDaemon();
    await host.reconnected();
    assert.deepEqual(
      await differences(host, chainId, (path) => IMPLIED.test(path)),
      [],
    );
    await host.removeImages(reference);
    await host.stopDaemon(); // whatever is being deleted is deleted
    assert.deepEqual(
      [...Deno.readDirSync(`${host.root}/snapshotter/snapshots`)],
      [],
    );
    await host.startDaemon();
  },
);

onEveryFace(
  "du counts the files of an image, and a file keeps its number when it is changed",
  async (face) => {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ face });
    const { chainId } = await bothWays(host, registry, "edges:1", edges());
    await withMounted(host, chainId, "soci", "prepare", async (directory) => {
      const du = async (...flags: string[]) =>
        (await run("du", ["-s", ...flags, directory])).stdout.split("\t")[0];
      assert.ok(Number(await du()) > 500);
      assert.equal(await du("-x"), await du());
      const number = async () =>
        (await run("stat", ["-c", "%d %i", `${directory}/m/late`])).stdout;
      const before = await number();
      await run("sh", ["-c", `echo changed >> ${directory}/m/late`]);
      assert.equal(await number(), before);
    });
  },
);

for (const count of [1, 6]) {
  onEveryFace(
    `the root of a mounted image of ${count} layer(s) is the image's own`,
    async (face) => {
      const own = {
        mode: 0o751,
        uid: 12,
        gid: 34,
        mtime: { seconds: 1_234_567_890, nanos: 0 },
      };
      const lowest = new TarBuilder().dir(".", own).dir("d", { mode: 0o700 })
        .file("d/file", "content");
      await using registry = startRegistry();
      const image = makeImage({
        layers: [
          lowest,
          ...Array.from(
            { length: count - 1 },
            (_, at) => new TarBuilder().file(`d/of-${at}`, "x"),
          ),
        ].map((tar) => layerBlob(tar)),
      });
      await pushImage(registry.host, "root:1", image);
      const name = `${registry.host}/root:1`;
      await buildIndex("--min-layer-size", "0", name);
      await using mounted = await Mounted.start(name, face);
      const stat = async (path: string) =>
        (await run("stat", [
          "-c",
          "%a %u %g %Y",
          `${mounted.directory}${path}`,
        ]))
          .stdout.trim();
      assert.equal(await stat(""), "751 12 34 1234567890");
      assert.match(await stat("/d"), /^700 0 0 /);
      const { errors } = await readInSteps(
        `${mounted.directory}/d/file`,
        4096,
      );
      assert.equal(errors, 0);
      const { code } = await tryRun("setpriv", [
        ...["--reuid=12", "--regid=34", "--clear-groups"],
        ...["ls", mounted.directory],
      ]);
      assert.notEqual(code, 0, "without --allow-other it is root's alone");
    },
  );
}
