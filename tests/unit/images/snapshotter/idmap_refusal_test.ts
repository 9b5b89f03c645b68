/** What is said where layers cannot be mapped. */
import assert from "node:assert/strict";
import { mappingRefusal } from "../../../../lib/images/snapshotter/idmap_refusal.ts";

const said = (
  call: string,
  code: string,
  type: string | null = "fuse.soci-deno",
) => {
  const source = type === null ? null : "/r/fs/n/7";
  const error = mappingRefusal("run", { call, code, source }, type);
  assert.ok(!error.message.includes("\n"));
  assert.match(
    error.message,
    /^snapshot run cannot have its owners mapped: .+; without a user namespace it runs$/,
  );
  return { kind: error.kind, message: error.message };
};

Deno.test("a kernel that cannot map what shows a layer is told, and since when it could", () => {
  const fuse = said("mount_setattr", "EINVAL");
  assert.equal(fuse.kind, "failed-precondition");
  assert.match(fuse.message, /Linux 6\.12 .*`soci-deno stop`/);
  assert.match(said("mount_setattr", "EINVAL", "erofs").message, /Linux 5\.19/);
  assert.match(
    said("mount_setattr", "EINVAL", "zfs").message,
    /\/r\/fs\/n\/7 is on zfs, which this kernel cannot map/,
  );
  assert.match(said("mount_setattr", "EPERM").message, /mapped already/);
  assert.match(said("open_tree", "ENOSYS").message, /Linux 5\.12/);
  assert.match(
    said("move_mount", "ENOENT").message,
    /move_mount of \/r\/fs\/n\/7: ENOENT/,
  );
});

Deno.test("what keeps user namespaces from being made is told, and what to do", () => {
  for (const code of ["ENOSPC", "EUSERS"]) {
    assert.match(
      said("clone", code, null).message,
      /raise user\.max_user_namespaces/,
    );
  }
  assert.match(said("clone", "EINVAL", null).message, /CONFIG_USER_NS/);
  assert.match(said("write", "EPERM", null).message, /CAP_SETUID/);
  assert.match(said("clone", "ENOMEM", null).message, /clone: ENOMEM/);
});

Deno.test("what may pass is no fault of the kernel's", () => {
  assert.equal(said("", "interrupted").kind, "unavailable");
});
