import assert from "node:assert/strict";
import { make } from "../../../cmd/install/changes.ts";
import { releaseIn } from "../../../cmd/install/containerd.ts";
import { diffOf } from "../../../cmd/install/diff.ts";
import { planInstall, programLacks } from "../../../cmd/install/plan.ts";
import { ENABLED, RECORD } from "../../../cmd/install/places.ts";
import { readRecord, writeRecord } from "../../../cmd/install/record.ts";
import { DRAFT, Tree, TreeError } from "../../../cmd/install/tree.ts";
import { planUninstall } from "../../../cmd/install/undo.ts";

const CONFIG = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "pause:1"
`;
const WANTED = {
  ...{ program: "/usr/local/bin/soci-deno", kubernetes: true, force: false },
  release: { major: 1, minor: 7 },
};
const UNIT = "/etc/systemd/system/soci-snapshotter.service";
const CONTAINERD = "/etc/containerd/config.toml";

async function withTree(use: (tree: Tree) => Promise<void>) {
  const root = await Deno.realPath(await Deno.makeTempDir());
  try {
    for (const folder of ["etc/systemd/system", "etc/containerd", "var/lib"]) {
      await Deno.mkdir(`${root}/${folder}`, { recursive: true, mode: 0o755 });
    }
    await Deno.writeTextFile(`${root}${CONTAINERD}`, CONFIG, { mode: 0o600 });
    await use(new Tree(root));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** As `install` does it, but ended after so many files. */
async function install(tree: Tree, files = Infinity, force = false) {
  const plan = planInstall(tree, readRecord(tree), { ...WANTED, force });
  tree.make("/var/lib/soci-deno");
  await writeRecord(tree, plan.record);
  for (const folder of plan.record.folders) tree.make(folder);
  await make(tree, plan.changes.slice(0, files));
  return plan;
}

async function uninstall(tree: Tree, files = Infinity, force = false) {
  const { changes, links, kept } = planUninstall(
    tree,
    readRecord(tree)!,
    force,
  );
  for (const link of links) await tree.remove(link);
  await make(tree, changes.slice(0, files));
  if (files === Infinity) await tree.remove(RECORD);
  return kept;
}

function paths(root: string, below = ""): string[] {
  return [...Deno.readDirSync(`${root}${below}`)].flatMap((entry) => {
    const path = `${below}/${entry.name}`;
    if (entry.isSymlink) return [];
    return entry.isDirectory ? paths(root, path) : [path];
  }).sort();
}

Deno.test("an installation that is killed after any file is finished by the next one, and one that is taken back as well", () =>
  withTree(async (tree) => {
    for (let killed = 0; killed <= 4; killed++) {
      await install(tree, killed);
      await Deno.writeTextFile(tree.at(`${UNIT}${DRAFT}`), "half");
      const plan = await install(tree);
      assert.equal(plan.changes.length, 4 - killed);
      assert.deepEqual((await install(tree)).changes, []);
      assert.match(tree.read(CONTAINERD)!, /snapshotter = "soci"/);
      assert.equal(tree.mode(CONTAINERD), 0o600);

      await uninstall(tree, killed);
      await uninstall(tree);
      assert.deepEqual(paths(tree.root), [CONTAINERD], `killed ${killed}`);
      assert.equal(tree.read(CONTAINERD), CONFIG);
      assert.equal(tree.mode(CONTAINERD), 0o600);
    }
  }));

Deno.test("a half installation is taken back without being finished", () =>
  withTree(async (tree) => {
    for (let killed = 0; killed <= 4; killed++) {
      await install(tree, killed);
      await uninstall(tree);
      assert.deepEqual(paths(tree.root), [CONTAINERD]);
      assert.equal(tree.read(CONTAINERD), CONFIG);
    }
  }));

Deno.test("a unit of somebody else's is replaced only when told so, and brought back", () =>
  withTree(async (tree) => {
    await Deno.writeTextFile(tree.at(UNIT), "[Service]\n");
    await assert.rejects(install(tree), /is not what was installed: --force/);
    await install(tree, Infinity, true);
    assert.match(tree.read(UNIT)!, /ExecStart=\/usr\/local\/bin\/soci-deno/);
    await Deno.writeTextFile(tree.at(UNIT), "[Service]\nNice=1\n");
    await assert.rejects(install(tree), /--force/);
    await assert.rejects(uninstall(tree), /was changed since/);
    await uninstall(tree, Infinity, true);
    assert.equal(tree.read(UNIT), "[Service]\n");
  }));

Deno.test("what people changed in containerd's file stays when the installation is taken back, after a second one, too", () =>
  withTree(async (tree) => {
    const change = (from: string, to: string) =>
      Deno.writeTextFileSync(
        tree.at(CONTAINERD),
        tree.read(CONTAINERD)!.replace(from, to),
      );
    await install(tree);
    change("pause:1", "pause:2");
    assert.deepEqual((await install(tree)).changes, []);
    change('  snapshotter = "soci"\n', "");
    assert.equal((await install(tree)).changes.length, 1);
    await uninstall(tree);
    assert.equal(
      tree.read(CONTAINERD),
      CONFIG.replace("pause:1", "pause:2"),
    );
  }));

Deno.test("links of `systemctl enable` go with the units, also after a kill; a link to another unit stays", () =>
  withTree(async (tree) => {
    const name = "soci-snapshotter.service";
    const link = `${ENABLED[name]}/${name}`;
    const enable = async (to: string) => {
      await Deno.mkdir(tree.at(ENABLED[name]), { recursive: true });
      await Deno.symlink(to, tree.at(link));
    };
    await install(tree);
    await enable(UNIT);
    await uninstall(tree, 4);
    assert.equal(tree.link(link), null);
    await enable(UNIT);
    await uninstall(tree);
    assert.equal(tree.link(link), null);
    await install(tree);
    await enable("/opt/other.service");
    await uninstall(tree);
    assert.equal(tree.link(link), "/opt/other.service");
  }));

Deno.test("units that would start nothing are told of, and none where they are there already", () =>
  withTree(async (tree) => {
    const { program } = WANTED;
    const told = (plan: ReturnType<typeof planInstall>) =>
      programLacks(tree, plan, program);
    const plan = await install(tree);
    assert.match(told(plan)!, /there is no .*\/usr\/local\/bin\/soci-deno/);
    assert.equal(told(await install(tree)), null);
    await Deno.mkdir(tree.at("/usr/local/bin"), { recursive: true });
    await Deno.writeTextFile(tree.at(program), "");
    assert.equal(told(plan), null);
  }));

Deno.test("a configuration of the daemon that is there, or was changed, stays", () =>
  withTree(async (tree) => {
    await install(tree);
    const path = "/etc/soci-snapshotter-grpc/config.toml";
    await Deno.writeTextFile(tree.at(path), "# mine\n");
    assert.deepEqual((await install(tree)).changes, []);
    assert.equal((await uninstall(tree)).length, 1);
    assert.equal(tree.read(path), "# mine\n");
    const { kept } = await install(tree);
    assert.deepEqual(kept, [tree.at(path)]);
  }));

Deno.test("links, pipes and folders that others can write are not followed: nothing is written elsewhere", async (t) => {
  const elsewhere = await Deno.makeTempDir();
  const attacks: Record<string, (root: string) => void> = {
    "a folder that is a link": (root) => {
      Deno.removeSync(`${root}/etc/containerd`, { recursive: true });
      Deno.symlinkSync(elsewhere, `${root}/etc/containerd`);
    },
    "a link further up": (root) => {
      Deno.renameSync(`${root}/etc`, `${elsewhere}/etc`);
      Deno.symlinkSync(`${elsewhere}/etc`, `${root}/etc`);
    },
    "a file that is a link": (root) => {
      Deno.removeSync(`${root}${CONTAINERD}`);
      Deno.symlinkSync("/etc/passwd", `${root}${CONTAINERD}`);
    },
    "a pipe": (root) => {
      Deno.removeSync(`${root}${CONTAINERD}`);
      new Deno.Command("mkfifo", { args: [`${root}${CONTAINERD}`] })
        .outputSync();
    },
    "a folder of another user's": (root) =>
      Deno.chownSync(`${root}/etc/containerd`, 1000, 1000),
    "a folder that all can write": (root) =>
      Deno.chmodSync(`${root}/etc/systemd/system`, 0o777),
    "a record that is none": (root) => {
      Deno.mkdirSync(`${root}/var/lib/soci-deno`, { mode: 0o700 });
      Deno.writeTextFileSync(
        `${root}${RECORD}`,
        JSON.stringify({
          version: 1,
          folders: [],
          files: [{
            ...{ path: "/etc/shadow", before: "", after: "", mode: 0o644 },
            keys: [],
          }],
        }),
      );
    },
  };
  for (const [name, prepare] of Object.entries(attacks)) {
    await t.step(name, () =>
      withTree(async (tree) => {
        prepare(tree.root);
        await assert.rejects(install(tree), TreeError);
        assert.deepEqual(
          paths(tree.root).filter((path) => path !== RECORD),
          paths(tree.root).filter((path) => path === CONTAINERD),
        );
      }));
  }
  assert.deepEqual(
    paths(elsewhere).filter((path) => path !== `/etc/containerd/config.toml`),
    [],
  );
  await Deno.remove(elsewhere, { recursive: true });
});

Deno.test("files that this cannot edit are told, with what to do", () =>
  withTree(async (tree) => {
    const refusals = {
      '[plugins.cri]\nsandbox_image = "a"\n':
        /of version 1.*migrate.*--no-kubernetes/,
      "version = 3\n": /version 3 is not known to containerd 1/,
      'version = 2\nplugins = {"io.containerd.grpc.v1.cri" = {containerd = {}}}\n':
        /by hand/,
      "version = \n": /config\.toml: /,
    };
    for (const [text, says] of Object.entries(refusals)) {
      await Deno.writeTextFile(tree.at(CONTAINERD), text);
      await assert.rejects(install(tree), says);
      assert.equal(tree.read(CONTAINERD), text);
    }
  }));

Deno.test("a file of version 1 that turns Kubernetes' interface off, as Docker brings it, gets the snapshotter alone", () =>
  withTree(async (tree) => {
    const docker = '#root = "/x"\n\ndisabled_plugins = ["cri"]\n';
    await Deno.writeTextFile(tree.at(CONTAINERD), docker);
    await install(tree);
    assert.equal(
      tree.read(CONTAINERD),
      `${docker}
[proxy_plugins.soci]
  address = "/run/soci-snapshotter-grpc/soci-snapshotter-grpc.sock"
  type = "snapshot"

[proxy_plugins.soci.exports]
  root = "/var/lib/soci-snapshotter-grpc"
`,
    );
    await uninstall(tree);
    assert.equal(tree.read(CONTAINERD), docker);
  }));

Deno.test("where there is no file, a new one imports what containerd imports without one", () =>
  withTree(async (tree) => {
    await Deno.remove(tree.at(CONTAINERD));
    const release = { major: 2, minor: 2 };
    const { changes, record } = planInstall(tree, null, { ...WANTED, release });
    await make(tree, changes.filter(({ path }) => path === CONTAINERD));
    assert.match(
      tree.read(CONTAINERD)!,
      /^version = 3\nimports = \["\/etc\/containerd\/conf\.d\/\*\.toml"\]\n\n\[proxy_plugins\.soci\]/,
    );
    await make(tree, planUninstall(tree, record, false).changes);
    assert.equal(tree.read(CONTAINERD), null);
  }));

Deno.test("containerd's version is read as it says it", () => {
  const said = {
    "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3":
      { major: 1, minor: 6 },
    "containerd github.com/containerd/containerd/v2 2.1.9+unknown ": {
      major: 2,
      minor: 1,
    },
    "containerd github.com/containerd/containerd v1.7.24 88bf19b": {
      ...{ major: 1, minor: 7 },
    },
    "1.7.": { major: 1, minor: 7 },
    "no such thing": null,
  };
  for (const [text, release] of Object.entries(said)) {
    assert.deepEqual(releaseIn(text), release, text);
  }
});

Deno.test("a difference shows what goes and comes, with lines around", () => {
  assert.equal(
    diffOf("/f", "a\nb\nc\nd\ne\nf\ng\n", "a\nb\nc\nd\nE\nf\ng\n"),
    "--- /f\n+++ /f\n@@\n c\n d\n-e\n+E\n f\n g",
  );
  assert.equal(diffOf("/f", null, "a\n"), "--- /dev/null\n+++ /f\n+a");
  assert.equal(diffOf("/f", "a\n", null), "--- /f\n+++ /dev/null\n-a");
  assert.equal(diffOf("/f", "a", "a"), "");
});
