/** Stacks of directories that the kernel itself puts together. */
import assert from "node:assert/strict";
import {
  isMountPoint,
  OverlayError,
  OverlayMount,
} from "../../../../lib/host/mounting/mod.ts";

import { run, tryRun } from "../../../support/host/mod.ts";

/** Directories `<folder>/<name>`, each with a file of its own, and one they all have. */
function directories(folder: string, names: readonly string[]): string[] {
  return names.map((name) => {
    const path = `${folder}/${name}`;
    Deno.mkdirSync(path);
    Deno.writeTextFileSync(`${path}/of-${name.slice(-8)}`, "");
    Deno.writeTextFileSync(`${path}/all`, name.slice(-8));
    return path;
  });
}

const ROOT = {
  ...{ mode: 0o751, uid: 12, gid: 34, mtimeSeconds: 1e9, mtimeNanos: 5 },
  xattrs: new Map(),
};

const mount = (
  directories: readonly string[],
  target: string,
  access: "root" | "all" = "all",
) =>
  OverlayMount.mount({
    directories,
    target,
    access,
    own: `${target}.own`,
    fill: null,
    root: ROOT,
  });

async function inFolder(
  use: (folder: string, target: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-overlay-" });
  await Deno.mkdir(`${folder}/t`);
  try {
    await use(folder, `${folder}/t`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const named = (count: number) =>
  Array.from({ length: count }, (_, at) => `layer-${at}`);

for (const count of [1, 2, 150, 500]) {
  Deno.test(`${count} layers are stacked, the last above all others`, () =>
    inFolder(async (folder, target) => {
      const layers = directories(folder, named(count));
      {
        using _mount = await mount(layers, target);
        assert.equal(
          Deno.readTextFileSync(`${target}/all`),
          `layer-${count - 1}`.slice(-8),
        );
        assert.equal([...Deno.readDirSync(target)].length, count + 1);
        assert.throws(() => Deno.writeTextFileSync(`${target}/new`, "x"));
      }
      assert.equal(isMountPoint(target), false);
    }));
}

Deno.test("more layers than the kernel stacks are refused with both numbers, and nothing is left", () =>
  inFolder(async (folder, target) => {
    const layers = directories(folder, named(501));
    await assert.rejects(mount(layers, target), (error) => {
      assert.ok(error instanceof OverlayError);
      assert.match(error.message, /501 .*500/);
      return true;
    });
    assert.equal(isMountPoint(target), false);
    // Equal ones are one.
    using _mount = await mount([
      ...layers.slice(0, 400),
      ...layers.slice(0, 400),
    ], target);
    assert.equal(Deno.readTextFileSync(`${target}/all`), "ayer-399");
  }));

Deno.test("a layer that stands several times in the stack counts where it is uppermost", () =>
  inFolder(async (folder, target) => {
    const [a, b, c] = directories(folder, ["a", "b", "c"]) as [
      ...[string, string, string],
    ];
    using _mount = await mount([a, b, a, c, b, a, a], target);
    assert.equal(Deno.readTextFileSync(`${target}/all`), "a");
  }));

Deno.test("of as many layers as the kernel takes none is left for a directory above them, and the line says what helps", () => {
  const check = (...args: Parameters<typeof OverlayMount.assertStackable>) =>
    OverlayMount.assertStackable(...args);
  check(500, "all");
  check(499, "root", true);
  const needed = /500 different layers, .* one is needed above them/;
  assert.throws(
    () => check(500, "root"),
    (error) =>
      error instanceof OverlayError && needed.test(error.message) &&
      error.message.endsWith("or say --allow-other"),
  );
  assert.throws(
    () => check(500, "all", true),
    (error) =>
      error instanceof OverlayError && needed.test(error.message) &&
      error.message.endsWith("build it with fewer"),
  );
  assert.throws(() => check(501, "all"), /501 different layers/);
});

Deno.test("paths of any length and with separators in them are layers too", () =>
  inFolder(async (folder, target) => {
    const deep = `${folder}/${"x".repeat(200)}/${"y".repeat(200)}`;
    Deno.mkdirSync(deep, { recursive: true });
    const layers = directories(deep, ["a:b", "c,d", "e\\f"]);
    using _mount = await mount(layers, target);
    assert.equal(Deno.readTextFileSync(`${target}/all`), "e\\f");
    assert.equal([...Deno.readDirSync(target)].length, 4);
  }));

Deno.test("one layer shows its own root directory, not that of an empty one", () =>
  inFolder(async (folder, target) => {
    const [layer = ""] = directories(folder, ["one"]);
    Deno.chmodSync(layer, 0o751);
    Deno.chownSync(layer, 12, 34);
    Deno.utimeSync(layer, 1e9, 1e9);
    using _mount = await mount([layer], target);
    const { mode, uid, gid, mtime } = Deno.statSync(target);
    assert.deepEqual(
      [(mode ?? 0) & 0o7777, uid, gid, mtime?.getTime()],
      [0o751, 12, 34, 1e12],
    );
  }));

Deno.test("a directory that is not there is named", () =>
  inFolder(async (folder, target) => {
    await assert.rejects(
      mount([`${folder}/none`], target),
      (error) => error instanceof OverlayError && /none/.test(error.message),
    );
  }));

for (const count of [1, 3]) {
  Deno.test(`a mount of ${count} layers for root alone shows the image's root directory, and nobody else enters it`, () =>
    inFolder(async (folder, target) => {
      Deno.chmodSync(folder, 0o755);
      const layers = directories(folder, named(count));
      using _mount = await mount(layers, target, "root");
      const { stdout } = await run("stat", ["-c", "%a %u %g %Y", target]);
      assert.equal(stdout, "751 12 34 1000000000\n");
      assert.equal([...Deno.readDirSync(target)].length, count + 1);
      for (const uid of ["12", "65534"]) {
        const other = await tryRun("setpriv", [
          ...["--reuid", uid, "--regid", "34", "--clear-groups"],
          ...["cat", `${target}/all`],
        ]);
        assert.notEqual(other.code, 0, uid);
        assert.match(other.stderr, /denied/);
      }
      // Also once the kernel has forgotten what it can.
      await run("sh", ["-c", "sync; echo 2 > /proc/sys/vm/drop_caches"]);
      const again = await tryRun("setpriv", [
        ...["--reuid", "65534", "--regid", "65534", "--clear-groups"],
        ...["ls", target],
      ]);
      assert.notEqual(again.code, 0);
    }));
}
