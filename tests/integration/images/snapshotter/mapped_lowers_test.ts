/** Snapshots of containers with user namespaces, mounted as containerd would. */
import assert from "node:assert/strict";
import { mountHelperArguments } from "../../../../cmd/program.ts";
import { listMounts, unmountBelow } from "../../../../lib/host/mounting/mod.ts";
import {
  NO_LAYERS,
  Snapshotter,
} from "../../../../lib/images/snapshotter/mod.ts";
import { MappedLowers } from "../../../../lib/images/snapshotter/mapped_lowers.ts";
import {
  GID_MAPPING_LABEL,
  TARGET_LABEL,
  UID_MAPPING_LABEL,
} from "../../../../lib/images/snapshotter/types.ts";
import {
  isKind,
  layer,
  mounted,
} from "../../../unit/images/snapshotter/support.ts";

/** The container's IDs begin there on the host. */
const labelsOf = (host: number) => ({
  [UID_MAPPING_LABEL]: `0:${host}:65536`,
  [GID_MAPPING_LABEL]: `0:${host + 1}:65536`,
});

const open = (root: string, mountHelper: string[] | undefined) =>
  Snapshotter.open({ root, provider: NO_LAYERS, mountHelper });

/** A folder for a snapshotter; whatever stays mounted in it fails the test. */
async function withRoot(use: (root: string) => Promise<void>): Promise<void> {
  const root = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "soci-deno-mapped-" }),
  );
  try {
    await use(root);
    assert.deepEqual(clones(root), []);
  } finally {
    unmountBelow(root);
    Deno.removeSync(root, { recursive: true });
  }
}

function clones(root: string): string[] {
  return listMounts().map(({ mountpoint }) => mountpoint)
    .filter((path) => path.startsWith(`${root}/snapshotter/mapped/`));
}

/** Two layers: a directory and a file of user 1000, then a file of root's. */
async function image(snapshotter: Snapshotter): Promise<void> {
  await layer(snapshotter, "one", "", (at) => {
    Deno.mkdirSync(`${at}/d`);
    Deno.writeTextFileSync(`${at}/d/user`, "user");
    Deno.chownSync(`${at}/d`, 1000, 1000);
    Deno.chownSync(`${at}/d/user`, 1000, 1000);
  });
  await layer(snapshotter, "two", "one", (at) => {
    Deno.writeTextFileSync(`${at}/root`, "root");
  });
}

const owner = (path: string) => {
  const { uid, gid } = Deno.lstatSync(path);
  return [uid, gid];
};

Deno.test("every kind of snapshot shows mapped owners, and what is written stays so", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, mountHelperArguments());
    await image(snapshotter);
    const labels = labelsOf(100_000);
    const request = { key: "run", parent: "two", labels };
    const mounts = await snapshotter.prepare(request);
    assert.ok(
      !mounts.some(({ options }) => options.join().includes("idmap")),
      "containerd is told no mapping",
    );
    await mounted(mounts, (at) => {
      assert.deepEqual(owner(at), [100_000, 100_001]);
      assert.deepEqual(owner(`${at}/root`), [100_000, 100_001]);
      assert.deepEqual(owner(`${at}/d`), [101_000, 101_001]);
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
      Deno.writeTextFileSync(`${at}/d/user`, "changed");
    });
    await mounted(await snapshotter.mounts("run"), (at) => {
      assert.equal(Deno.readTextFileSync(`${at}/d/user`), "changed");
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
    });
    for (const parent of ["one", "two"]) {
      const view = { key: `view ${parent}`, parent, labels };
      await mounted(await snapshotter.view(view), (at) => {
        assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
        assert.throws(() => Deno.writeTextFileSync(`${at}/new`, ""));
      });
    }
    assert.equal(clones(root).length, 2, "one a layer, for all of them");
    for (const key of ["run", "view one", "view two"]) {
      assert.equal(clones(root).length, 2);
      snapshotter.remove(key);
      await snapshotter.cleanup();
    }
  }));

Deno.test("two mappings of one image are apart, and each goes with its last user", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, mountHelperArguments());
    await image(snapshotter);
    const all = await Promise.all(
      [100_000, 300_000, 100_000].map((host, at) =>
        snapshotter.prepare({
          key: `run${at}`,
          parent: "two",
          labels: labelsOf(host),
        })
      ),
    );
    assert.equal(clones(root).length, 4);
    for (const [at, host] of [100_000, 300_000, 100_000].entries()) {
      await mounted(all[at]!, (directory) => {
        assert.deepEqual(owner(`${directory}/root`), [host, host + 1]);
      });
    }
    for (const [at, left] of [4, 2, 0].entries()) {
      snapshotter.remove(`run${at}`);
      await snapshotter.cleanup();
      assert.equal(clones(root).length, left);
    }
    const folders = [...Deno.readDirSync(`${root}/snapshotter/mapped`)];
    assert.deepEqual(folders.map(({ name }) => name), ["users"]);
  }));

Deno.test("after a restart clones are as they were, and those of nobody go", () =>
  withRoot(async (root) => {
    {
      await using snapshotter = await open(root, mountHelperArguments());
      await image(snapshotter);
      await snapshotter.prepare({
        key: "stays",
        parent: "two",
        labels: labelsOf(100_000),
      });
      await snapshotter.prepare({
        key: "goes",
        parent: "two",
        labels: labelsOf(300_000),
      });
    }
    const before = clones(root);
    assert.equal(before.length, 4);
    {
      // As a daemon that is killed after the removal and before the clean-up.
      const { DatabaseSync } = await import("node:sqlite");
      using database = new DatabaseSync(`${root}/snapshotter/metadata.db`);
      database.exec(`
        DELETE FROM snapshots WHERE name = 'goes';
        DELETE FROM row_sums WHERE name = 'snapshots' AND id NOT IN (SELECT id FROM snapshots)`);
    }
    await using snapshotter = await open(root, mountHelperArguments());
    const after = clones(root);
    assert.equal(after.length, 2);
    assert.ok(after.every((path) => before.includes(path)));
    await mounted(await snapshotter.mounts("stays"), (at) => {
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
    });
    await snapshotter.unmount();
    assert.deepEqual(clones(root), []);
    await mounted(await snapshotter.mounts("stays"), (at) => {
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
    });
    snapshotter.remove("stays");
    await snapshotter.cleanup();
  }));

Deno.test("layers whose owners were changed already are not mapped again", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, mountHelperArguments());
    await image(snapshotter);
    const key = "two-100000-100001-remap";
    await mounted(await snapshotter.prepare({ key, parent: "two" }), (at) => {
      for (
        const [name, id] of [["", 0], ["/root", 0], ["/d", 1000], [
          "/d/user",
          1000,
        ]] as const
      ) Deno.chownSync(`${at}${name}`, 100_000 + id, 100_001 + id);
    });
    await snapshotter.commit({ key, name: "remapped" });
    const mounts = await snapshotter.prepare({
      key: "run",
      parent: "remapped",
      labels: labelsOf(100_000),
    });
    await mounted(mounts, (at) => {
      assert.deepEqual(owner(at), [100_000, 100_001]);
      assert.deepEqual(owner(`${at}/root`), [100_000, 100_001]);
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
    });
    snapshotter.remove("run");
    await snapshotter.cleanup();
  }));

Deno.test("what such a container has written can be built upon", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, mountHelperArguments());
    await image(snapshotter);
    const labels = labelsOf(100_000);
    await mounted(
      await snapshotter.prepare({ key: "build", parent: "two", labels }),
      (at) => {
        Deno.writeTextFileSync(`${at}/new`, "new");
        Deno.chownSync(`${at}/new`, 100_007, 100_008);
      },
    );
    await snapshotter.commit({ key: "build", name: "built" });
    const mounts = await snapshotter.prepare({
      key: "run",
      parent: "built",
      labels,
    });
    await mounted(mounts, (at) => {
      assert.deepEqual(owner(`${at}/new`), [100_007, 100_008]);
      assert.deepEqual(owner(`${at}/d/user`), [101_000, 101_001]);
    });
    snapshotter.remove("run");
    await snapshotter.cleanup();
  }));

Deno.test("a layer that an image's manifest wants mapped is unpacked as any other", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, mountHelperArguments());
    await image(snapshotter);
    const mounts = await snapshotter.prepare({
      key: "extract",
      parent: "two",
      labels: { ...labelsOf(100_000), [TARGET_LABEL]: "sha256:three" },
    });
    await mounted(mounts, (at) => {
      assert.deepEqual(owner(at), [0, 0]);
      assert.deepEqual(owner(`${at}/d/user`), [1000, 1000]);
    });
    assert.deepEqual(clones(root), []);
  }));

Deno.test("what cannot be mapped is refused in one line, and leaves nothing", () =>
  withRoot(async (root) => {
    await using snapshotter = await open(root, undefined);
    await image(snapshotter);
    const labels = labelsOf(100_000);
    await assert.rejects(
      snapshotter.prepare({ key: "run", parent: "two", labels }),
      (error: Error) => {
        isKind("unavailable")(error);
        assert.match(
          error.message,
          /^snapshot run cannot have its owners mapped: .*helper.*without a user namespace it runs$/,
        );
        return true;
      },
    );
    assert.throws(() => snapshotter.stat("run"), isKind("not-found"));
    // Without layers nothing has to be mapped.
    await snapshotter.prepare({ key: "empty", parent: "", labels });
  }));

Deno.test("a file system that cannot be mapped is named", () =>
  withRoot(async (root) => {
    // An overlay itself is one of those.
    const folders = ["u", "w", "l", "state"].map((name) => `${root}/${name}`);
    for (const folder of folders) Deno.mkdirSync(folder);
    const [upper, work, lower, state] = folders;
    const { success } = await new Deno.Command("mount", {
      args: [
        ...["-t", "overlay", "overlay", state!, "-o"],
        `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      ],
    }).output();
    assert.ok(success);
    await using snapshotter = await open(state!, mountHelperArguments());
    await snapshotter.prepare({ key: "extract", parent: "" });
    await snapshotter.commit({ key: "extract", name: "one" });
    await assert.rejects(
      snapshotter.prepare({
        key: "run",
        parent: "one",
        labels: labelsOf(100_000),
      }),
      (error: Error) => {
        isKind("failed-precondition")(error);
        assert.match(error.message, /is on overlay, which this kernel cannot/);
        return true;
      },
    );
  }));

Deno.test("more clones than there may be are refused until others go", () =>
  withRoot(async (root) => {
    await using mapped = new MappedLowers({
      root,
      mountHelper: mountHelperArguments(),
      maxClones: 3,
      isFolder: () => false,
    });
    const folders = ["a", "b"].map((name) => `${root}/${name}`);
    for (const folder of folders) Deno.mkdirSync(folder);
    const ask = (id: number) =>
      mapped.of(
        { id, name: `run${id}`, labels: labelsOf(id * 100_000) },
        folders,
      );
    const first = await ask(1);
    assert.equal(first.length, 2);
    assert.deepEqual(await ask(1), first, "nothing new is needed");
    await assert.rejects(ask(2), (error: Error) => {
      isKind("unavailable")(error);
      assert.match(error.message, /3 id-mapped mounts/);
      return true;
    });
    assert.equal(clones(root).length, 2);
    mapped.released(1);
    assert.equal((await ask(2)).length, 2);
    mapped.released(2);
    await mapped.sweep(new Set());
  }));
