/**
 * What setuid programs and device nodes of foreign images do: in containers all they should, for
 * local users of the host nothing.
 */
import assert from "node:assert/strict";
import { onEveryFace } from "../support/erofs/mod.ts";
import {
  type CommandResult,
  ctrRun,
  pause,
  run,
  type Service,
  sociDenoCommand,
  startService,
  tryRun,
} from "../support/host/mod.ts";
import {
  PRIVILEGED_SCRIPT,
  privilegedImage,
  pushImage,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import type { FaceWish } from "../../lib/layers/faces/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

/** What `PRIVILEGED_SCRIPT` prints where setuid programs and devices work. */
const ALLOWED = ["0", "00 00 00 00"];
const USER = 65534;

/** Runs a program as a user without rights, who belongs to no group. */
function asUser(...command: string[]): Promise<CommandResult> {
  return tryRun("setpriv", [
    ...[`--reuid=${USER}`, `--regid=${USER}`, "--clear-groups"],
    // setpriv itself keeps root's capabilities until it has started a program.
    ...["sh", "-c", 'exec "$@"', "sh", ...command],
  ], { timeoutMs: 20_000 });
}

/** As a user of the image's own: what `PRIVILEGED_SCRIPT` says in a directory as root. */
async function inside(directory: string): Promise<string[]> {
  const { stdout } = await run("chroot", [
    ...[`--userspec=${USER}:${USER}`, directory],
    ...["/bin/sh", "-c", PRIVILEGED_SCRIPT],
  ], { timeoutMs: 20_000 });
  return lines(stdout);
}

const lines = (text: string) =>
  text.trim().split("\n").map((line) => line.trim());

/** Options of the mounts below a folder, as mountinfo shows them. */
function mountOptions(folder: string): [path: string, options: string][] {
  return Deno.readTextFileSync("/proc/self/mountinfo").trim().split("\n")
    .map((line) => line.split(" "))
    .filter(([, , , , path]) => path?.startsWith(`${folder}/`))
    .map(([, , , , path, options]) => [path!, options!]);
}

async function pushed(
  registry: TestRegistry,
  layers: 1 | 2,
): Promise<string> {
  await pushImage(registry.host, `suid:${layers}`, privilegedImage(layers));
  const image = `${registry.host}/suid:${layers}`;
  await buildIndex("--min-layer-size", "0", image);
  return image;
}

/** Makes a view and mounts it with mount(8), as the snapshotter says to. */
async function mountView(
  host: LazyHost,
  chain: string,
  target: string,
): Promise<void> {
  const script = await host.containerd.ctr(
    ...["snapshots", "--snapshotter", "soci", "view", "--target", target],
    ...[`view-${crypto.randomUUID()}`, chain],
  );
  await run("sh", ["-c", script], { timeoutMs: 20_000 });
}

onEveryFace(
  "setuid programs and device nodes work in containers and views as on overlayfs, and the mounts below are nosuid,nodev",
  async (face) => {
    await using registry = startRegistry();
    await using host = await LazyHost.start({ face });
    await host.reconnected();
    for (const layers of [1, 2] as const) {
      const image = await pushed(registry, layers);
      const pulled = await host.pull(image);
      assert.ok(pulled.layers.every(({ outcome }) => outcome === "served"));
      const { stdout, stderr } = await ctrRun(host.containerd, {
        image,
        id: `suid-${crypto.randomUUID()}`,
        snapshotter: "soci",
        flags: ["--allow-new-privs"],
        args: ["/bin/sh", "-c", PRIVILEGED_SCRIPT],
      });
      assert.deepEqual(lines(stdout), ALLOWED, stderr);

      const target = `${host.folder}/view-${layers}`;
      await Deno.mkdir(target);
      const chain = pulled.layers.at(-1)!.chainId;
      await mountView(host, chain, target);
      try {
        assert.deepEqual(await inside(target), ALLOWED);
      } finally {
        await run("umount", [target]);
      }
    }
    const mounts = mountOptions(host.root);
    assert.ok(mounts.length >= 2);
    for (const [path, options] of mounts) {
      assert.match(options, /^ro,nosuid,nodev\b/, path);
    }
  },
);

/** `soci-deno mount`, until it is disposed of. */
async function mounted(
  image: string,
  face: FaceWish,
  ...flags: string[]
): Promise<AsyncDisposable & { folder: string; directory: string }> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-users-" });
  await Deno.chmod(folder, 0o755);
  await Deno.mkdir(`${folder}/image`, { mode: 0o755 });
  const process: Service = await startService({
    ...sociDenoCommand(
      ...["mount", "--no-background", "--root", `${folder}/root`],
      ...["--face", face, ...flags, image, `${folder}/image`],
    ),
    logFile: `${folder}/log`,
    ready: () => true,
  });
  for (let tries = 0; !process.logs().includes(" is at "); tries++) {
    assert.ok(tries < 200, process.logs());
    await pause(50);
  }
  return {
    folder,
    directory: `${folder}/image`,
    async [Symbol.asyncDispose]() {
      await process.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

onEveryFace(
  "`mount` gives a local user nothing, and with --allow-other files to read but no rights",
  async (face) => {
    await using registry = startRegistry();
    const image = await pushed(registry, 2);
    {
      await using own = await mounted(image, face);
      assert.deepEqual(
        await Deno.readTextFile(`${own.directory}/etc/passwd`)
          .then((text) => text.length > 0),
        true,
      );
      for (
        const command of [
          ["ls", own.directory],
          ["cat", `${own.directory}/etc/passwd`],
          [`${own.directory}/suid/id`, "-u"],
          ["ls", `${own.folder}/root`],
          ["ls", `${own.folder}/root/fs`],
        ]
      ) {
        const { code, stdout, stderr } = await asUser(...command);
        assert.notEqual(code, 0, stdout);
        assert.match(stderr, /Permission denied/);
      }
    }
    await using shared = await mounted(image, face, "--allow-other");
    const id = await asUser(`${shared.directory}/suid/id`, "-u");
    assert.equal(id.stdout.trim(), String(USER), id.stderr);
    const node = await asUser("head", "-c1", `${shared.directory}/nodes/zero`);
    assert.match(node.stderr, /Permission denied/);
    assert.equal(
      (await asUser("cat", `${shared.directory}/etc/passwd`)).code,
      0,
    );
    for (const [path, options] of mountOptions(shared.folder)) {
      assert.match(options, /^ro,nosuid,nodev\b/, path);
    }
    assert.notEqual((await asUser("ls", `${shared.folder}/root`)).code, 0);
  },
);

onEveryFace(
  "a root that was there with mode 0755 is closed to local users, and so are the layers in it",
  async (face) => {
    await using registry = startRegistry();
    const image = await pushed(registry, 1);
    const folder = await Deno.makeTempDir({ prefix: "soci-deno-users-" });
    await Deno.chmod(folder, 0o755);
    const root = `${folder}/state`;
    await Deno.mkdir(root, { mode: 0o755 });
    {
      await using host = await LazyHost.start({ face, daemon: { root } });
      await host.reconnected();
      await host.pull(image);
      const layers = [...Deno.readDirSync(`${root}/fs`)].flatMap(({ name }) =>
        [...Deno.readDirSync(`${root}/fs/${name}`)].map((entry) =>
          `${root}/fs/${name}/${entry.name}`
        )
      ).filter((path) => {
        try {
          return Deno.statSync(`${path}/suid/id`).isFile;
        } catch {
          return false; // blobs, not a layer
        }
      });
      assert.ok(layers.length > 0);
      for (const layer of layers) {
        const { code, stderr } = await asUser(`${layer}/suid/id`, "-u");
        assert.notEqual(code, 0);
        assert.match(stderr, /Permission denied/);
        // Who gets there all the same, as by a bind mount of root's, gains nothing.
        const [who, bytes] = await inside(layer);
        assert.equal(who, String(USER));
        assert.doesNotMatch(bytes!, /^00 00 00 00$/);
      }
      assert.equal(Deno.statSync(root).mode! & 0o7777, 0o700);
      assert.match(host.logs(), /was open to other users/);
    }
    await Deno.remove(folder, { recursive: true });
  },
);

Deno.test("serve and mount refuse a root that another user owns, or leads to by a link, in one line", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-users-" });
  await Deno.mkdir(`${folder}/theirs`);
  await Deno.chown(`${folder}/theirs`, USER, USER);
  await Deno.mkdir(`${folder}/own`);
  await Deno.symlink(`${folder}/own`, `${folder}/link`);
  await run("chown", ["-h", String(USER), `${folder}/link`]);
  for (
    const [root, why] of [
      [`${folder}/theirs`, /theirs belongs to user 65534/],
      [`${folder}/link`, /link is a link that belongs to user 65534/],
      [`${folder}/link/below`, /link is a link that belongs to user 65534/],
    ] as const
  ) {
    for (
      const args of [
        ["serve", "--address", `${folder}/s.sock`, "--root", root],
        ["mount", "--root", root, "127.0.0.1:1/a:1", folder],
      ]
    ) {
      const { code, stderr } = await sociDeno(...args);
      assert.equal(code, 1);
      assert.match(stderr, why);
      assert.equal(stderr.trim().split("\n").length, 1, stderr);
    }
  }
  assert.deepEqual([...Deno.readDirSync(`${folder}/own`)], []);
  await Deno.remove(folder, { recursive: true });
});
