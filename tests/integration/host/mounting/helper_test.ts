import { mountHelperArguments } from "../../../../cmd/program.ts";
import assert from "node:assert/strict";
import {
  isMountPoint,
  MountHelper,
  unmount,
} from "../../../../lib/host/mounting/mod.ts";
import { listNames, readWholeFile } from "../../../../lib/host/os/mod.ts";

/** Helper processes of this one. */
function helpers(): number[] {
  return listNames("/proc").map(Number).filter((pid) => {
    if (!Number.isInteger(pid)) return false;
    try {
      const text = (name: string) =>
        new TextDecoder().decode(readWholeFile(`/proc/${pid}/${name}`, 65536));
      const status = text("status");
      return status.includes(`\nPPid:\t${Deno.pid}\n`) &&
        !status.includes("\nState:\tZ") &&
        text("cmdline").includes("mount-helper");
    } catch {
      return false; // gone meanwhile
    }
  });
}

/** Waits ten seconds at most. */
async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 100 && !what(); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(what());
}

const tmpfs = (target: string, type = "tmpfs") => ({
  ...{ source: "soci-deno-test", target, type, flags: 0, data: "" },
});

/** Why a mount could not be made; null when it was. */
async function failureOf(
  helper: MountHelper,
  target: string,
  type?: string,
): Promise<string | null> {
  return (await helper.mount(tmpfs(target, type))).failure;
}

Deno.test("mounts are made by another process, which ends with its owner", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  {
    await using helper = new MountHelper(mountHelperArguments());
    assert.deepEqual(helpers(), [], "none before it is needed");
    const made = await Promise.all(
      ["a", "b", "c"].map((name) => {
        Deno.mkdirSync(`${folder}/${name}`);
        return failureOf(helper, `${folder}/${name}`);
      }),
    );
    assert.deepEqual(made, [null, null, null]);
    assert.equal(helpers().length, 1);
    for (const name of ["a", "b", "c"]) {
      assert.ok(isMountPoint(`${folder}/${name}`));
      unmount(`${folder}/${name}`);
    }
  }
  assert.deepEqual(helpers(), []);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a mount that the kernel refuses is no mount, and the reason is told", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  await using helper = new MountHelper(mountHelperArguments());
  assert.match(
    await failureOf(helper, folder, "no-such-type") ?? "",
    /ENODEV/,
  );
  assert.match(await failureOf(helper, `${folder}/none`) ?? "", /ENOENT/);
  assert.equal(await failureOf(helper, folder), null);
  unmount(folder);
  await Deno.remove(folder);
});

Deno.test("a helper that was killed is replaced", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  await using helper = new MountHelper(mountHelperArguments());
  assert.equal(await failureOf(helper, folder), null);
  unmount(folder);
  for (const pid of helpers()) Deno.kill(pid, "SIGKILL");
  assert.equal(await failureOf(helper, folder), null);
  unmount(folder);
  await Deno.remove(folder);
});

Deno.test("what was asked of a helper that is killed meanwhile is mounted all the same, once", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  const targets = Array.from({ length: 40 }, (_, i) => `${folder}/${i}`);
  for (const target of targets) Deno.mkdirSync(target);
  await using helper = new MountHelper(mountHelperArguments());
  const asked = targets.map((target) => failureOf(helper, target));
  await asked[0];
  for (const pid of helpers()) Deno.kill(pid, "SIGKILL");
  assert.deepEqual(await Promise.all(asked), targets.map(() => null));
  for (const target of targets) {
    unmount(target);
    assert.ok(!isMountPoint(target), `${target} was mounted twice`);
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a helper that has nothing to do ends, and comes again", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  await using helper = new MountHelper(mountHelperArguments());
  helper.wake();
  await until(() => helpers().length === 1); // it has no name of its own at first
  await until(() => helpers().length === 0);
  assert.equal(await failureOf(helper, folder), null);
  unmount(folder);
  await Deno.remove(folder);
});

Deno.test("directories are shown a second time with mapped owners, or it is told which cannot be", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-helper-" });
  const clones = ["a", "b"].map((name) => ({
    source: `${folder}/${name}`,
    target: `${folder}/mapped-${name}`,
  }));
  for (const { source, target } of clones) {
    Deno.mkdirSync(source);
    Deno.mkdirSync(target);
  }
  const maps = { uids: "0 100000 10\n", gids: "0 200000 10\n" };
  await using helper = new MountHelper(mountHelperArguments());
  assert.equal(await helper.map({ clones, maps }), null);
  for (const { target } of clones) {
    const { uid, gid } = Deno.statSync(target);
    assert.deepEqual([uid, gid], [100_000, 200_000]);
    assert.throws(() => Deno.mkdirSync(`${target}/new`));
    unmount(target);
  }
  const none = { source: `${folder}/none`, target: clones[0]!.target };
  assert.deepEqual(await helper.map({ clones: [none], maps }), {
    call: "open_tree",
    code: "ENOENT",
    source: none.source,
  });
  const twice = { ...maps, uids: "0 1 1\n0 2 1\n" };
  assert.deepEqual(await helper.map({ clones, maps: twice }), {
    call: "write",
    code: "EINVAL",
    source: null,
  });
  for (const { target } of clones) assert.ok(!isMountPoint(target));
  await Deno.remove(folder, { recursive: true });
});
