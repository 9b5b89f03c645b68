/** Containers with user namespaces of their own, by containerd and runc, and as Kubernetes starts them. */
import assert from "node:assert/strict";
import { listMounts } from "../../lib/host/mounting/mod.ts";
import type { Face } from "../../lib/layers/faces/mod.ts";
import {
  CommandError,
  CriClient,
  ctrExec,
  ctrRun,
  pause,
  run,
} from "../support/host/mod.ts";
import {
  addBusybox,
  type Image,
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { erofsRefusal, onEveryFace } from "../support/erofs/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import {
  debianMirror,
  newerContainerd,
  newerRunc,
} from "../support/peer/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

/** Debian's of this release, and newer ones. */
const VERSIONS = ["1.6", "1.7", "2"] as const;
type Version = typeof VERSIONS[number];

/** Where the containers' IDs begin on the host. */
const FIRST = 100_000;
const OTHER = 300_000;
const LATE = incompressible(2 ** 20);

/** Nothing of it is as an empty image would have it; `/d` has no entry in the second layer. */
function ownersImage(): Image {
  const tar = addBusybox(new TarBuilder()).dir("tmp", { mode: 0o1777 });
  for (const name of ["proc", "dev", "sys", "run", "etc"]) tar.dir(name);
  const same = layerBlob(new TarBuilder().file("again", "again\n"));
  return makeImage({
    layers: [
      layerBlob(
        tar.dir("data", { uid: 1000, gid: 1000 })
          .file("data/user", "user\n", { uid: 1000, gid: 1000, mode: 0o600 })
          .file("data/big", incompressible(2 ** 20), { uid: 1000 })
          .dir("d", { uid: 1000, gid: 1000, mode: 0o750 }),
      ),
      same,
      layerBlob(new TarBuilder().file("d/new", "new\n", { uid: 7, gid: 8 })),
      same,
      layerBlob(new TarBuilder().file("late", LATE)),
    ],
    config: { env: ["PATH=/bin"], cmd: ["/bin/sh"] },
  });
}

const SEEN = [
  ...["/ 0:0 755", "/tmp 0:0 1777", "/bin/busybox 0:0 755"],
  ...["/data 1000:1000 755", "/data/user 1000:1000 600"],
  ...["/d 1000:1000 750", "/d/new 7:8 644"],
];
const STAT = `stat -c '%n %u:%g %a' ${
  SEEN.map((line) => line.split(" ")[0]).join(" ")
}`;

const mapping = (host: number) => [
  ...["--uidmap", `0:${host}:65536`, "--gidmap", `0:${host}:65536`],
  "--remap-labels",
];

const clones = (host: LazyHost) =>
  listMounts().filter(({ mountpoint }) =>
    mountpoint.startsWith(`${host.root}/snapshotter/mapped/`)
  );

async function binDirOf(version: Version): Promise<string | undefined> {
  if (version === "1.6") return undefined;
  const newer = await newerContainerd(version);
  assert.ok("binDir" in newer, JSON.stringify(newer));
  return newer.binDir;
}

/** containerd 2 wants a newer one for pods than Debian 12 has. */
async function runcOf(version: Version): Promise<string | undefined> {
  if (version !== "2") return undefined;
  const newer = await newerRunc();
  assert.ok("path" in newer, JSON.stringify(newer));
  return newer.path;
}

/** What a test needs of this machine. */
function missing(version: Version): string | null {
  const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
  if (major < 6 || (major === 6 && minor < 12)) {
    return `Linux ${Deno.osRelease()} maps no FUSE mounts, 6.12 does`;
  }
  return version === "1.6" || debianMirror() !== undefined
    ? null
    : "it needs packages of Debian's archive, and this is another system";
}

const ARE_ALL = Deno.env.get("SOCI_DENO_ALL_FACES") === "1";
const FACES: readonly Face[] = await erofsRefusal() === null
  ? ["erofs", "fuse"]
  : ["fuse"];
let turn = 0;

function onEveryContainerd(
  name: string,
  versions: readonly Version[],
  fn: (face: Face, version: Version) => Promise<void>,
): void {
  for (const version of versions) {
    const full = `${name}, containerd ${version}`;
    if (ARE_ALL) {
      onEveryFace(full, (face) => fn(face, version), missing(version));
      continue;
    }
    // In a short round one face for each, in turns.
    const face = FACES[turn++ % FACES.length]!;
    testUnless(missing(version), {
      name: `${full} (${face})`,
      fn: () => fn(face, version),
    });
  }
}

/** A container that sleeps. @throws CommandError */
async function start(
  host: LazyHost,
  image: string,
  id: string,
  flags: readonly string[],
): Promise<void> {
  const ran = await ctrRun(host.containerd, {
    ...{ image, id, snapshotter: "soci", flags: ["--detach", ...flags] },
    args: ["/bin/sleep", "100000"],
  });
  if (ran.code !== 0) {
    throw new CommandError(`ctr run\n${host.logs().slice(-4000)}`, ran);
  }
}

/** Runs a script in a container. */
async function inside(
  host: LazyHost,
  id: string,
  script: string,
): Promise<string[]> {
  const ran = await ctrExec(host.containerd, id, ["/bin/sh", "-c", script]);
  if (ran.code !== 0) throw new CommandError(`ctr exec: ${script}`, ran);
  return ran.stdout.trimEnd().split("\n");
}

/** What a container has written, with owners on the host. */
async function written(host: LazyHost, id: string): Promise<string[]> {
  const mount = await host.containerd.ctr(
    ...["snapshots", "--snapshotter", "soci", "mounts", "/nowhere", id],
  );
  const [, upper] = mount.match(/upperdir=([^,\s]+)/) ?? [];
  assert.ok(upper !== undefined, mount);
  assert.ok(!mount.includes("idmap"), mount);
  const { stdout } = await run("find", [upper, "-printf", "/%P %U:%G\\n"]);
  return stdout.trimEnd().split("\n").sort();
}

/** containerd removes snapshots when it does that, sooner or later. */
async function collectGarbage({ containerd }: LazyHost): Promise<void> {
  await containerd.ctr("leases", "create", "--id", "collect");
  await containerd.ctr("leases", "delete", "--sync", "collect");
}

/** Pushes the image with owners and its index. @returns its name. */
async function pushOwners({ host }: TestRegistry): Promise<string> {
  const image = `${host}/owners:1`;
  await pushImage(host, "owners:1", ownersImage());
  await buildIndex("--min-layer-size", "0", image);
  return image;
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100 && !what(); tries++) await pause(100);
  assert.ok(what());
}

onEveryContainerd(
  "owners are right inside and outside, of two mappings at once, over a restart",
  VERSIONS,
  async (face, version) => {
    await using registry = startRegistry();
    const image = await pushOwners(registry);
    await using host = await LazyHost.start({
      face,
      binDir: await binDirOf(version),
      ...(version === "1.6" ? {} : { capabilities: ["remap-ids"] }),
    });
    const { layers } = await host.pull(image);
    assert.deepEqual(
      new Set(layers.map(({ outcome }) => outcome)),
      new Set(["served"]),
    );
    for (const [id, at] of [["first", FIRST], ["other", OTHER]] as const) {
      await start(host, image, id, mapping(at));
      const [users, ...seen] = await inside(
        host,
        id,
        `cat /proc/self/uid_map; ${STAT}`,
      );
      assert.deepEqual(users?.trim().split(/\s+/), ["0", `${at}`, "65536"]);
      assert.deepEqual(seen, SEEN);
      assert.deepEqual(
        await inside(
          host,
          id,
          "echo more >> /data/user && mkdir /d/made && cat /data/user && stat -c '%u:%g' /data/user /d/made /d",
        ),
        ["user", "more", "1000:1000", "0:0", "1000:1000"],
      );
      assert.deepEqual(
        await written(host, id),
        [
          ...[`/ ${at}:${at}`, `/d ${at + 1000}:${at + 1000}`],
          ...[`/d/made ${at}:${at}`, `/data ${at + 1000}:${at + 1000}`],
          `/data/user ${at + 1000}:${at + 1000}`,
        ],
        "only what was changed was copied up",
      );
    }
    // Four different layers, and the directories that they have together.
    const before = clones(host).map(({ mountpoint }) => mountpoint).sort();
    assert.equal(before.length, 2 * 5);

    for (const end of [() => host.killDaemon(), () => host.stopDaemon()]) {
      await end();
      await host.startDaemon();
    }
    await host.takeOver();
    await host.reconnected();
    assert.deepEqual(
      await inside(host, "first", `${STAT}; wc -c < /late`),
      [...SEEN, `${LATE.length}`],
    );
    await start(host, image, "third", mapping(FIRST));
    assert.deepEqual(await inside(host, "third", STAT), SEEN);
    assert.deepEqual(
      clones(host).map(({ mountpoint }) => mountpoint).sort(),
      before,
    );

    for (const [id, left] of [["first", 10], ["other", 5], ["third", 0]]) {
      await host.containerd.ctr("tasks", "rm", "-f", `${id}`);
      await host.containerd.ctr("containers", "rm", `${id}`);
      await collectGarbage(host);
      await until(() => clones(host).length === left);
    }
  },
);

onEveryContainerd(
  "a pod with hostUsers: false sees its owners",
  ["1.7", "2"],
  async (face, version) => {
    await using registry = startRegistry();
    await pushImage(registry.host, "pause:1", pauseImage());
    const image = await pushOwners(registry);
    await using host = await LazyHost.start({
      face,
      binDir: await binDirOf(version),
      capabilities: ["remap-ids"],
      cri: {
        snapshotter: "soci",
        sandboxImage: `${registry.host}/pause:1`,
        runc: await runcOf(version),
      },
    });
    using cri = new CriClient(host.containerd);
    await cri.pull(image);
    {
      await using pod = await cri.run({
        image,
        command: ["/bin/sleep", "100000"],
        hostIds: FIRST,
      });
      const { code, stdout, stderr } = await pod.exec(
        ...["/bin/sh", "-c", `cat /proc/self/uid_map; ${STAT}`],
      );
      assert.equal(code, 0, stderr);
      const [users, ...seen] = stdout.trimEnd().split("\n");
      assert.match(users ?? "", new RegExp(`^ *0 +${FIRST} +65536$`));
      assert.deepEqual(seen, SEEN);
      assert.notEqual(clones(host).length, 0);
    }
    await collectGarbage(host);
    await until(() => clones(host).length === 0);
  },
);

onEveryContainerd(
  "without the capability containerd changes every owner itself, and they are right",
  ["1.7", "2"],
  async (face, version) => {
    await using registry = startRegistry();
    const image = await pushOwners(registry);
    const binDir = await binDirOf(version);
    await using host = await LazyHost.start({ face, binDir });
    await host.pull(image);
    await start(host, image, "run", mapping(FIRST));
    assert.deepEqual(await inside(host, "run", STAT), SEEN);
  },
);

onEveryContainerd(
  "where IDs cannot be mapped the container is refused with the reason",
  ["1.6"],
  async (face) => {
    await using registry = startRegistry();
    const image = await pushOwners(registry);
    await using host = await LazyHost.start({
      face,
      daemon: { prefix: ["setpriv", "--bounding-set", "-setuid"] },
    });
    await host.pull(image);
    await assert.rejects(start(host, image, "run", mapping(FIRST)), {
      message:
        /snapshot \S+ cannot have its owners mapped: the daemon may not map IDs: it needs [A-Z_, ]+CAP_SETUID.*; without a user namespace it runs/,
    });
    assert.deepEqual(clones(host), []);
    await start(host, image, "plain", []);
    assert.deepEqual(await inside(host, "plain", STAT), SEEN);
  },
);

onEveryContainerd(
  "stop takes the mapped mounts away",
  ["1.6"],
  async (face) => {
    await using registry = startRegistry();
    const image = await pushOwners(registry);
    await using host = await LazyHost.start({ face });
    await host.pull(image);
    await start(host, image, "run", mapping(FIRST));
    assert.notEqual(clones(host).length, 0);
    await host.killDaemon();
    const { code, stderr } = await sociDeno("stop", "--root", host.root);
    assert.equal(code, 0, stderr);
    assert.deepEqual(clones(host), []);
    await host.containerd.ctr("tasks", "rm", "-f", "run");
    // The snapshot is there still: it gets its mounts again.
    await host.startDaemon();
    await host.reconnected();
    await host.containerd.ctr("tasks", "start", "--detach", "run");
    assert.deepEqual(await inside(host, "run", STAT), SEEN);
  },
);

onEveryContainerd(
  "layers that are mounted anew are mapped anew",
  ["1.6"],
  async (face) => {
    await using registry = startRegistry();
    const image = await pushOwners(registry);
    await using host = await LazyHost.start({ face });
    await host.pull(image);
    await start(host, image, "lost", mapping(FIRST));
    const served = () =>
      clones(host).filter(({ type }) =>
        type === "erofs" || type.startsWith("fuse.")
      )
        .map(({ device, root, mountpoint }) =>
          `${device} ${root} ${mountpoint}`
        );
    const before = served();
    assert.notEqual(before.length, 0);

    await host.killDaemon();
    const state = `${host.root}/handover.json`;
    const { holder } = JSON.parse(Deno.readTextFileSync(state));
    Deno.kill(holder.pid, "SIGKILL");
    await host.startDaemon();
    assert.deepEqual(served(), [], "the dead ones are gone");
    await host.reconnected();
    await start(host, image, "new", mapping(FIRST));
    assert.deepEqual(await inside(host, "new", STAT), SEEN);
    assert.equal(served().length, before.length);
    assert.ok(served().every((line) => !before.includes(line)));
    await host.containerd.ctr("tasks", "rm", "-f", "lost");
    await host.containerd.ctr("tasks", "start", "--detach", "lost");
    assert.deepEqual(await inside(host, "lost", STAT), SEEN);
  },
);
