/** What containerd is told to mount, for stacks of layers of every shape. */
import assert from "node:assert/strict";
import { mountSpecs } from "../../../../lib/images/snapshotter/mounts.ts";
import { isKind } from "./support.ts";

const OWN = { key: "run", fs: "/s/9/fs", work: "/s/9/work" };

const specs = (
  kind: "active" | "view",
  parents: readonly string[],
  options: readonly string[] = [],
) => mountSpecs({ ...OWN, kind, parents }, options);

const lowerdir = (found: ReturnType<typeof specs>) =>
  found[0]?.options.find((option) => option.startsWith("lowerdir="));

Deno.test("a layer that an image has several times is one lower directory, where it is uppermost", () => {
  const found = specs("active", ["/e/2", "/e/1", "/e/2", "/e/3", "/e/1"]);
  assert.equal(lowerdir(found), "lowerdir=/e/2:/e/1:/e/3");
});

Deno.test("a view of one layer twice is an overlay still: whiteouts in it hide", () => {
  const [mount] = specs("view", ["/e/1", "/e/1"]);
  assert.equal(mount?.type, "overlay");
  assert.deepEqual(mount.options, ["lowerdir=/e/1:/s/9/fs"]);
  assert.equal(specs("view", ["/e/1"])[0]?.type, "bind");
});

Deno.test("five hundred layers are mounted, one more is refused with the number", () => {
  const layers = (count: number) =>
    Array.from({ length: count }, (_, at) => `/r/e/${at}`);
  assert.equal(specs("active", layers(500)).length, 1);
  assert.throws(() => specs("active", layers(501)), (error: Error) => {
    isKind("failed-precondition")(error);
    assert.match(error.message, /501 layers.*500/);
    return true;
  });
  // The same layer over and over is one.
  assert.equal(specs("active", Array(900).fill("/r/e/1")).length, 1);
});

Deno.test("directories whose names do not fit into the kernel's page of options are refused", () => {
  const far = (at: number) => `/${"x".repeat(50)}${at % 2}/${at}/fs`;
  const parents = Array.from({ length: 100 }, (_, at) => far(at));
  assert.throws(() => specs("active", parents), (error: Error) => {
    isKind("failed-precondition")(error);
    assert.match(error.message, /--root/);
    return true;
  });
  // What they have in common is left out by containerd.
  const root = `/${"x".repeat(200)}`;
  const near = Array.from({ length: 400 }, (_, at) => `${root}/e/${at}`);
  assert.equal(specs("view", near).length, 1);
});

Deno.test("containerd may add a label of SELinux to every stack that is accepted, and to mounts of every kind", () => {
  // The longest that Kubernetes gives; containerd puts it behind the other options.
  const label = ',context="system_u:object_r:container_file_t:s0:c1022,c1023"';
  const options = ["index=off", "xino=on"];
  let most = 0;
  for (let count = 2; count <= 500; count++) {
    const parents = Array.from(
      { length: count },
      (_, at) => `/var/lib/soci-snapshotter-grpc/fs/e/${1_000_000 + at}`,
    );
    const own = "/var/lib/soci-snapshotter-grpc/snapshotter/snapshots/1000000";
    try {
      const [mount] = mountSpecs({
        ...{ key: "run", kind: "active", parents },
        ...{ fs: `${own}/fs`, work: `${own}/work` },
      }, options);
      // What the lower directories have in common is left out by containerd.
      const text = mount!.options.join(",").replaceAll(
        "/var/lib/soci-snapshotter-grpc/fs/e/",
        "",
      ) + label;
      assert.ok(text.length <= 4095, `${count}: ${text.length}`);
      most = count;
    } catch (error) {
      isKind("failed-precondition")(error as Error);
      break;
    }
  }
  assert.ok(most > 400 && most < 500, `${most}`);
  for (const [kind, parents] of [["view", ["/e/1"]], ["active", []]] as const) {
    assert.ok(
      specs(kind, parents)[0]!.options.every((option) =>
        !option.includes("context")
      ),
    );
  }
});
