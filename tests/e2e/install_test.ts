/** `install` in a bare tree of Debian: what it writes has that tree's containerd pull lazily; `uninstall` takes it back. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import {
  CriClient,
  pause,
  startService,
  tryRun,
  unixSocketAnswers,
  unmountAll,
} from "../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { debianMirror, newerContainerd } from "../support/peer/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

/** As Debian's package brings it. */
const DEBIANS = `version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
`;
/** Where the shipped unit listens. */
const SOCKET = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock";

/** Files and folders below one, each with mode and content. */
async function contentOf(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    const { mode } = await Deno.lstat(path);
    const text = isDirectory || name === "containerd"
      ? ""
      : await Deno.readTextFile(path);
    found.set(path, `${mode} ${text}`);
    if (!isDirectory) continue;
    for (const [inside, what] of await contentOf(path)) {
      found.set(inside, what);
    }
  }
  return found;
}

/** A tree with nothing but a containerd. */
async function bareTree(containerd: string, config: string | null) {
  const tree = await Deno.makeTempDir({ prefix: "soci-deno-tree-" });
  for (const folder of ["etc", "usr/bin", "var/lib"]) {
    await Deno.mkdir(`${tree}/${folder}`, { recursive: true });
  }
  await tryRun("cp", ["--reflink=auto", containerd, `${tree}/usr/bin`]);
  if (config !== null) {
    await Deno.mkdir(`${tree}/etc/containerd`);
    await Deno.writeTextFile(`${tree}/etc/containerd/config.toml`, config);
  }
  return tree;
}

/** Starts the tree's containerd by the tree's configuration, with folders of its own, and pulls. */
async function pullIn(tree: string, image: string): Promise<void> {
  const address = `${tree}/containerd.sock`;
  await using service = await startService({
    program: `${tree}/usr/bin/containerd`,
    args: [
      ...["--config", `${tree}/etc/containerd/config.toml`],
      ...["--root", `${tree}/data`, "--state", `${tree}/state`],
      ...["--address", address],
    ],
    logFile: `${tree}/log`,
    ready: () => unixSocketAnswers(address),
  });
  try {
    using cri = new CriClient({ address, folder: tree });
    for (let tries = 0;; tries++) {
      try {
        await cri.pull(image);
        return;
      } catch (error) { // it answers before its CRI plugin does
        if (!/not initialized/.test(String(error)) || tries === 100) {
          throw error;
        }
        await pause(100);
      }
    }
  } catch (error) {
    throw new Error(service.logs().slice(-4000), { cause: error });
  }
}

const here = debianMirror() === undefined
  ? "newer containerds come from Debian's archive, and this is another system"
  : await unixSocketAnswers(SOCKET)
  ? `a daemon of this machine's own listens on ${SOCKET}`
  : null;

testUnless(here, {
  name:
    "after install the containerd of a bare tree pulls lazily, and uninstall leaves the tree as it was",
  async fn(t) {
    const newer = await newerContainerd("2");
    assert.ok("binDir" in newer, JSON.stringify(newer));
    await using registry = startRegistry();
    await using host = await LazyHost.start();
    await Deno.mkdir(dirname(SOCKET), { recursive: true });
    await Deno.remove(SOCKET).catch(() => {}); // of a daemon that is gone
    await Deno.symlink(host.socket, SOCKET);
    const hosts = [
      ["containerd 1", "/usr/bin/containerd", DEBIANS],
      ["containerd 2", `${newer.binDir}/containerd`, DEBIANS],
      [
        "containerd 2 without a file",
        `${newer.binDir}/containerd`,
        null,
      ],
    ] as const;
    try {
      for (const [at, [name, program, config]] of hosts.entries()) {
        await t.step(name, async () => {
          const image = `${registry.host}/app:${at}`;
          const data = incompressible(2 ** 20, at + 1);
          await pushImage(
            registry.host,
            `app:${at}`,
            makeImage({
              layers: [layerBlob(new TarBuilder().file("data", data))],
            }),
          );
          await buildIndex("--min-layer-size", "0", image);
          const tree = await bareTree(program, config);
          try {
            const before = await contentOf(tree);
            const install = (...flags: string[]) =>
              sociDeno("install", "--root", tree, ...flags);
            const shown = await install("--dry-run");
            assert.equal(shown.code, 0, shown.stderr);
            assert.match(shown.stdout, /^\+\[proxy_plugins\.soci\]$/m);
            assert.match(shown.stdout, /^\+ExecStart=.*soci-deno serve/m);
            assert.deepEqual(await contentOf(tree), before);

            if (at === 0) {
              const asked = await install();
              assert.equal(asked.code, 2);
              assert.deepEqual(await contentOf(tree), before);
            }

            const done = await install("--yes");
            assert.equal(done.code, 0, done.stderr);
            const served = host.logs().split("layer is served").length;
            await pullIn(tree, image);
            assert.equal(
              host.logs().split("layer is served").length,
              served + 1,
              host.logs(),
            );
            for (const name of ["data", "state", "log"]) {
              await tryRun("rm", ["-rf", `${tree}/${name}`]);
            }
            await tryRun("sh", ["-c", `rm -f ${tree}/containerd.sock*`]);

            const again = await install("--yes");
            assert.match(again.stdout, /installed already/, again.stderr);
            const gone = await sociDeno("uninstall", "--yes", "--root", tree);
            assert.equal(gone.code, 0, gone.stderr);
            assert.deepEqual(await contentOf(tree), before);
          } finally {
            await unmountAll(tree);
            await Deno.remove(tree, { recursive: true });
          }
        });
      }
    } finally {
      await Deno.remove(SOCKET);
    }
  },
});

Deno.test("what is mounted in the daemon's folder is not removed by --purge; the folder is, once nothing is", async () => {
  const tree = await Deno.makeTempDir({ prefix: "soci-deno-tree-" });
  const state = `${tree}/var/lib/soci-snapshotter-grpc`;
  const purge = () => sociDeno("uninstall", "--purge", "--yes", "--root", tree);
  try {
    await Deno.mkdir(`${state}/fs/n`, { recursive: true });
    await Deno.mkdir(`${tree}/etc`);
    await tryRun("mount", ["-t", "tmpfs", "none", `${state}/fs/n`]);
    await Deno.writeTextFile(`${state}/fs/n/file`, "here");
    const refused = await purge();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /fs\/n is mounted: say `soci-deno stop`/);
    assert.equal(await Deno.readTextFile(`${state}/fs/n/file`), "here");
    await tryRun("umount", [`${state}/fs/n`]);
    assert.equal((await purge()).code, 0);
    await assert.rejects(Deno.stat(state), Deno.errors.NotFound);
    assert.match((await purge()).stdout, /Nothing is installed here/);
  } finally {
    await tryRun("umount", ["--lazy", `${state}/fs/n`]);
    await Deno.remove(tree, { recursive: true });
  }
});
