/** What the kernel's list of mounts says of a path, without touching it. */
import assert from "node:assert/strict";
import { MountTable } from "../../../../lib/host/mounting/mod.ts";

const entry = (mountpoint: string, device: string, root = "/") => ({
  ...{ mountpoint, device, root, type: "ext4" },
});

const table = new MountTable([
  entry("/", "8:1"),
  entry("/var", "8:2", "/sub"),
  entry("/var/fs/n", "0:50"),
  entry("/var/fs/e/7", "0:60"),
  entry("/var/mapped/a/7", "0:60"),
  entry("/var/mapped/a/9", "0:50", "/9"),
  entry("/var/mapped/a/old", "0:40", "/9"),
  entry("/var/mapped/a/folder", "8:2", "/sub/files/3"),
  entry("/var/mapped/a/etc", "8:1", "/etc"),
  entry("/var/mapped/a/twice", "0:50", "/9"),
  entry("/var/mapped/a/twice", "0:50", "/8"),
]);

Deno.test("a clone shows the same place of the same file system", () => {
  const clone = (name: string, source: string) =>
    table.isCloneOf(`/var/mapped/a/${name}`, source);
  assert.ok(clone("7", "/var/fs/e/7"));
  assert.ok(clone("9", "/var/fs/n/9"));
  assert.ok(clone("folder", "/var/files/3"));
  assert.ok(clone("etc", "/etc"));
  assert.ok(!clone("9", "/var/fs/n/8"), "another place");
  assert.ok(!clone("old", "/var/fs/n/9"), "of a mount that is gone");
  assert.ok(!clone("none", "/var/fs/n/9"));
  assert.ok(clone("twice", "/var/fs/n/8"), "the upper one is seen");
});

Deno.test("what holds a path is the nearest mount above it, by whole names", () => {
  assert.equal(table.holder("/var/fs/n/9")?.device, "0:50");
  assert.equal(table.holder("/var/fs/nine")?.device, "8:2");
  assert.equal(table.holder("/home")?.device, "8:1");
  assert.equal(table.holder("/")?.device, "8:1");
  assert.equal(table.at("/var/fs")?.device, undefined);
  assert.deepEqual(table.below("/var/fs"), ["/var/fs/n", "/var/fs/e/7"]);
});
