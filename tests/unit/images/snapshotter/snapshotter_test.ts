import type { Moment } from "../../../../lib/host/os/mod.ts";
import assert from "node:assert/strict";
import { Snapshotter } from "../../../../lib/images/snapshotter/mod.ts";
import { NO_LAYERS } from "../../../../lib/images/snapshotter/provider.ts";
import {
  contents,
  isKind,
  layer,
  mounted,
  withSnapshotter,
} from "./support.ts";

/** Whether one moment comes after another. */
const later = (one: Moment, other: Moment) =>
  one.ms > other.ms || (one.ms === other.ms && one.ns > other.ns);

Deno.test("what is written before a commit is seen by every snapshot built on it, and by no other", () =>
  withSnapshotter(async (snapshotter) => {
    await layer(snapshotter, "one", "", (dir) => {
      Deno.writeTextFileSync(`${dir}/a`, "1");
      Deno.writeTextFileSync(`${dir}/b`, "1");
    });
    await layer(snapshotter, "two", "one", (dir) => {
      Deno.removeSync(`${dir}/a`);
      Deno.writeTextFileSync(`${dir}/b`, "2");
      Deno.writeTextFileSync(`${dir}/c`, "2");
    });
    const first = await snapshotter.prepare({ key: "run1", parent: "two" });
    const second = await snapshotter.prepare({ key: "run2", parent: "two" });
    await mounted(first, (dir) => {
      assert.deepEqual(contents(dir), ["b=2", "c=2"]);
      Deno.writeTextFileSync(`${dir}/c`, "mine");
    });
    await mounted(second, (dir) => {
      assert.deepEqual(contents(dir), ["b=2", "c=2"]);
    });
    await mounted(await snapshotter.mounts("run1"), (dir) => {
      assert.deepEqual(contents(dir), ["b=2", "c=mine"]);
    });
    await mounted(
      await snapshotter.view({ key: "look", parent: "one" }),
      (dir) => assert.deepEqual(contents(dir), ["a=1", "b=1"]),
    );
  }));

Deno.test("a view cannot be written, neither of one layer nor of several", () =>
  withSnapshotter(async (snapshotter) => {
    await layer(snapshotter, "one", "", () => {});
    await layer(snapshotter, "two", "one", () => {});
    for (const parent of ["", "one", "two"]) {
      const key = `view of ${parent}`;
      await mounted(await snapshotter.view({ key, parent }), (dir) => {
        assert.throws(() => Deno.writeTextFileSync(`${dir}/x`, ""));
      });
    }
  }));

Deno.test("mounts name a bind without parents and an overlay, nearest parent first, with them", () =>
  withSnapshotter(async (snapshotter, root) => {
    const folders = `${root}/snapshotter/snapshots`;
    assert.deepEqual(await snapshotter.prepare({ key: "k1", parent: "" }), [
      { type: "bind", source: `${folders}/1/fs`, options: ["rw", "rbind"] },
    ]);
    await snapshotter.commit({ name: "one", key: "k1" });
    await snapshotter.prepare({ key: "k2", parent: "one" });
    await snapshotter.commit({ name: "two", key: "k2" });
    const [overlay] = await snapshotter.prepare({ key: "k3", parent: "two" });
    assert.equal(overlay?.type, "overlay");
    assert.deepEqual(overlay.options.slice(0, 3), [
      `workdir=${folders}/3/work`,
      `upperdir=${folders}/3/fs`,
      `lowerdir=${folders}/2/fs:${folders}/1/fs`,
    ]);
    assert.deepEqual(await snapshotter.view({ key: "v", parent: "one" }), [
      { type: "bind", source: `${folders}/1/fs`, options: ["ro", "rbind"] },
    ]);
    const [view] = await snapshotter.view({ key: "w", parent: "two" });
    assert.equal(
      view?.options[0],
      `lowerdir=${folders}/2/fs:${folders}/1/fs`,
    );
    assert.deepEqual(await snapshotter.mounts("k3"), [overlay]);
  }));

Deno.test("stat tells kind, parent, times and labels; commit replaces key, labels and times", () =>
  withSnapshotter(async (snapshotter) => {
    await layer(snapshotter, "base", "", () => {});
    await snapshotter.prepare({
      key: "key",
      parent: "base",
      labels: { a: "1", empty: "" },
    });
    const active = snapshotter.stat("key");
    assert.equal(active.kind, "active");
    assert.equal(active.parent, "base");
    assert.deepEqual(active.labels, { a: "1" });
    assert.ok(Math.abs(active.createdAt.ms - Date.now()) < 5000);
    await new Promise((wake) => setTimeout(wake, 5));
    await snapshotter.commit({ name: "top", key: "key", labels: { b: "2" } });
    const committed = snapshotter.stat("top");
    assert.equal(committed.kind, "committed");
    assert.equal(committed.parent, "base");
    assert.deepEqual(committed.labels, { b: "2" });
    assert.ok(later(committed.createdAt, active.createdAt));
    assert.throws(() => snapshotter.stat("key"), isKind("not-found"));
    await snapshotter.view({ key: "view", parent: "top" });
    assert.equal(snapshotter.stat("view").kind, "view");
  }));

Deno.test("a key or name can be taken once", () =>
  withSnapshotter(async (snapshotter, root) => {
    await layer(snapshotter, "one", "", () => {});
    await snapshotter.prepare({ key: "key", parent: "one" });
    for (const key of ["key", "one"]) {
      await assert.rejects(
        snapshotter.prepare({ key, parent: "" }),
        isKind("already-exists"),
      );
      await assert.rejects(
        snapshotter.view({ key, parent: "one" }),
        isKind("already-exists"),
      );
    }
    await assert.rejects(
      snapshotter.commit({ name: "one", key: "key" }),
      isKind("already-exists"),
    );
    await snapshotter.cleanup();
    assert.equal(
      [...Deno.readDirSync(`${root}/snapshotter/snapshots`)].length,
      2,
      "nothing of the refused ones is left on disk",
    );
  }));

Deno.test("parents must be there and committed", () =>
  withSnapshotter(async (snapshotter) => {
    await snapshotter.prepare({ key: "active", parent: "" });
    await snapshotter.view({ key: "view", parent: "" });
    await assert.rejects(
      snapshotter.prepare({ key: "k", parent: "nobody" }),
      isKind("not-found"),
    );
    for (const parent of ["active", "view"]) {
      await assert.rejects(
        snapshotter.prepare({ key: "k", parent }),
        isKind("invalid-argument"),
      );
      await assert.rejects(
        snapshotter.view({ key: "k", parent }),
        isKind("invalid-argument"),
      );
    }
    await assert.rejects(
      snapshotter.prepare({ key: "", parent: "" }),
      isKind("invalid-argument"),
    );
  }));

Deno.test("only active snapshots commit, only uncommitted ones mount", () =>
  withSnapshotter(async (snapshotter) => {
    await layer(snapshotter, "one", "", () => {});
    await snapshotter.view({ key: "view", parent: "one" });
    for (const key of ["view", "one"]) {
      await assert.rejects(
        snapshotter.commit({ name: "new", key }),
        isKind("failed-precondition"),
      );
    }
    await assert.rejects(
      snapshotter.commit({ name: "new", key: "nobody" }),
      isKind("not-found"),
    );
    await assert.rejects(
      snapshotter.commit({ name: "", key: "view" }),
      isKind("invalid-argument"),
    );
    await assert.rejects(
      snapshotter.mounts("one"),
      isKind("failed-precondition"),
    );
    await assert.rejects(snapshotter.mounts("nobody"), isKind("not-found"));
  }));

Deno.test("a snapshot goes when nothing builds on it, and its disk with it", () =>
  withSnapshotter(async (snapshotter, root) => {
    await layer(snapshotter, "one", "", (dir) => {
      Deno.mkdirSync(`${dir}/d/e`, { recursive: true });
      Deno.symlinkSync(root, `${dir}/d/link`);
    });
    await snapshotter.prepare({ key: "key", parent: "one" });
    assert.throws(
      () => snapshotter.remove("one"),
      isKind("failed-precondition"),
    );
    snapshotter.remove("key");
    snapshotter.remove("one");
    assert.throws(() => snapshotter.remove("one"), isKind("not-found"));
    await snapshotter.cleanup();
    assert.deepEqual(
      [...Deno.readDirSync(`${root}/snapshotter/snapshots`)],
      [],
    );
    assert.ok(Deno.statSync(`${root}/snapshotter/metadata.db`).isFile);
  }));

Deno.test("the number of a removed snapshot never comes again", () =>
  withSnapshotter(async (snapshotter) => {
    const [first] = await snapshotter.prepare({ key: "k", parent: "" });
    snapshotter.remove("k");
    const [second] = await snapshotter.prepare({ key: "k", parent: "" });
    assert.notEqual(first?.source, second?.source);
  }));

Deno.test("update changes labels, one or all, and nothing else", () =>
  withSnapshotter(async (snapshotter) => {
    await snapshotter.prepare({
      key: "k",
      parent: "",
      labels: { a: "1", b: "1" },
    });
    const before = snapshotter.stat("k");
    await new Promise((wake) => setTimeout(wake, 5));
    const one = snapshotter.update("k", { a: "2", z: "9" }, ["labels.a"]);
    assert.deepEqual(one.labels, { a: "2", b: "1" });
    assert.ok(later(one.updatedAt, before.updatedAt));
    assert.deepEqual(one.createdAt, before.createdAt);
    assert.deepEqual(snapshotter.update("k", {}, ["labels.b"]).labels, {
      a: "2",
    });
    assert.deepEqual(snapshotter.update("k", { x: "1" }, ["labels"]).labels, {
      x: "1",
    });
    assert.deepEqual(snapshotter.update("k", { y: "1" }, []).labels, {
      y: "1",
    });
    for (const path of ["name", "parent", "kind", "created_at"]) {
      assert.throws(
        () => snapshotter.update("k", {}, [path]),
        isKind("invalid-argument"),
      );
    }
    assert.throws(
      () => snapshotter.update("nobody", {}, []),
      isKind("not-found"),
    );
  }));

Deno.test("usage counts a snapshot's own files, live while active, kept once committed", () =>
  withSnapshotter(async (snapshotter) => {
    const megabyte = new Uint8Array(1 << 20).fill(1);
    const [mount] = await snapshotter.prepare({ key: "k", parent: "" });
    const empty = await snapshotter.usage("k");
    assert.equal(empty.inodes, 1);
    Deno.writeFileSync(`${mount!.source}/f`, megabyte);
    Deno.linkSync(`${mount!.source}/f`, `${mount!.source}/same`);
    const full = await snapshotter.usage("k");
    assert.equal(full.inodes, 2);
    assert.ok(full.sizeBytes - empty.sizeBytes >= 1 << 20);
    assert.ok(full.sizeBytes - empty.sizeBytes < 1.5 * (1 << 20));
    await snapshotter.commit({ name: "one", key: "k" });
    assert.deepEqual(await snapshotter.usage("one"), full);
    await snapshotter.prepare({ key: "next", parent: "one" });
    assert.equal((await snapshotter.usage("next")).inodes, 1);
    await assert.rejects(snapshotter.usage("nobody"), isKind("not-found"));
  }));

Deno.test("a container's root directory keeps its owner", () =>
  withSnapshotter(async (snapshotter) => {
    await layer(
      snapshotter,
      "one",
      "",
      (dir) => Deno.chownSync(dir, 1234, 5678),
    );
    await mounted(
      await snapshotter.prepare({ key: "k", parent: "one" }),
      (dir) => {
        const { uid, gid } = Deno.statSync(dir);
        assert.deepEqual([uid, gid], [1234, 5678]);
      },
    );
  }));

Deno.test("opening the state again finds all snapshots and clears what a crash left", async () => {
  const root = Deno.makeTempDirSync();
  const folders = `${root}/snapshotter/snapshots`;
  const options = { root, provider: NO_LAYERS };
  {
    await using snapshotter = await Snapshotter.open(options);
    await layer(
      snapshotter,
      "one",
      "",
      (dir) => Deno.writeTextFileSync(`${dir}/a`, "1"),
    );
  }
  for (const name of ["2/fs", "new-1/fs", "rm-7-x/fs"]) {
    Deno.mkdirSync(`${folders}/${name}`, { recursive: true });
  }
  await using snapshotter = await Snapshotter.open(options);
  assert.deepEqual([...Deno.readDirSync(folders)].map(({ name }) => name), [
    "1",
  ]);
  await mounted(
    await snapshotter.prepare({ key: "k", parent: "one" }),
    (dir) => assert.deepEqual(contents(dir), ["a=1"]),
  );
  snapshotter.remove("k");
  await snapshotter.cleanup();
  Deno.removeSync(root, { recursive: true });
});

Deno.test("clean-up deletes nothing below somebody's mount", () =>
  withSnapshotter(async (snapshotter, root) => {
    const precious = `${root}/precious`;
    Deno.mkdirSync(precious);
    Deno.writeTextFileSync(`${precious}/f`, "keep");
    const [mount] = await snapshotter.prepare({ key: "k", parent: "" });
    const at = `${mount!.source}/mnt`;
    Deno.mkdirSync(at);
    const sh = (...args: string[]) =>
      new Deno.Command("timeout", { args: ["10", ...args] }).outputSync();
    assert.ok(sh("mount", "--bind", precious, at).success);
    snapshotter.remove("k");
    await snapshotter.cleanup();
    assert.equal(Deno.readTextFileSync(`${precious}/f`), "keep");
    const folders = `${root}/snapshotter/snapshots`;
    const [left] = [...Deno.readDirSync(folders)];
    assert.ok(sh("umount", `${folders}/${left!.name}/fs/mnt`).success);
    await snapshotter.cleanup();
    assert.deepEqual([...Deno.readDirSync(folders)], []);
    assert.equal(Deno.readTextFileSync(`${precious}/f`), "keep");
  }));

Deno.test("a state folder overlayfs options cannot name is refused", async () => {
  const root = Deno.makeTempDirSync({ prefix: "a,b" });
  await assert.rejects(
    Snapshotter.open({ root, provider: NO_LAYERS }),
    { name: "SnapshotterSetupError" },
  );
  Deno.removeSync(root, { recursive: true });
});

Deno.test("a killed daemon loses no snapshot it had answered for", async () => {
  const root = Deno.makeTempDirSync();
  const module = new URL(
    "../../../../lib/images/snapshotter/mod.ts",
    import.meta.url,
  );
  const program = `
    import { NO_LAYERS, Snapshotter } from "${module}";
    const snapshotter = await Snapshotter.open({ root: "${root}", provider: NO_LAYERS });
    for (let i = 0;; i++) {
      await snapshotter.prepare({ key: "k" + i, parent: i < 2 ? "" : "n" + (i - 2) });
      await snapshotter.commit({ name: "n" + i, key: "k" + i });
      if (i % 2) { await snapshotter.view({ key: "v", parent: "n" + i }); snapshotter.remove("v"); }
      console.log("n" + i);
    }`;
  const config = new URL("../../../../deno.json", import.meta.url).pathname;
  const file = `${root}/daemon.ts`;
  Deno.writeTextFileSync(file, program);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, file],
    stdout: "piped",
  }).spawn();
  const killed = (async () => {
    let text = "";
    for await (
      const piece of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      text += piece;
      if (text.split("\n").length > 20) child.kill("SIGKILL");
    }
    return text.split("\n").slice(0, -1);
  })();
  const [answered] = await Promise.all([killed, child.status]);
  assert.ok(answered.length >= 20);
  await using snapshotter = await Snapshotter.open({
    root,
    provider: NO_LAYERS,
  });
  for (const name of answered) {
    assert.equal(snapshotter.stat(name).kind, "committed");
    await snapshotter.prepare({ key: `on ${name}`, parent: name });
    snapshotter.remove(`on ${name}`);
  }
  await snapshotter.cleanup();
  assert.equal(
    [...Deno.readDirSync(`${root}/snapshotter/snapshots`)].length,
    snapshotter.list().length,
  );
  Deno.removeSync(root, { recursive: true });
});
