import assert from "node:assert/strict";
import { treeOf } from "../../support/compare/mod.ts";
import {
  ctrPull,
  ctrRun,
  startContainerd,
  startDockerRegistry,
} from "../../support/host/mod.ts";
import { oddImage, pushImage } from "../../support/images/mod.ts";

Deno.test("containerd unpacks the odd image, every oddity as it was meant", async () => {
  await using registry = await startDockerRegistry();
  await pushImage(
    registry.host,
    "odd:1",
    oddImage({ compression: ["gzip", "gzip-multi", "none"] }),
  );
  await using containerd = await startContainerd();
  const image = `${registry.host}/odd:1`;
  await ctrPull(containerd, image);

  const mounted = `${containerd.folder}/odd`;
  await Deno.mkdir(mounted);
  await containerd.ctr("images", "mount", image, mounted);
  const tree = await treeOf(mounted, { ignoreXattrs: ["trusted.overlay."] });
  const entry = (path: string) => {
    const found = tree.find((each) => each.path === path);
    assert.ok(found !== undefined, `${path} is missing`);
    return found;
  };
  const below = (folder: string) =>
    tree.map(({ path }) => path).filter((path) => path.startsWith(`${folder}/`))
      .map((path) => path.slice(folder.length + 1));

  assert.deepEqual(below("hidden"), [
    "dir-to-file",
    "file-to-dir",
    "file-to-dir/inside",
    "kept",
    "replaced",
  ]);
  assert.deepEqual(below("opaque"), ["new", "sub", "sub/new"]);
  assert.equal(entry("opaque").uid, 6);
  assert.equal(entry("never/was/here").type, "ghost");
  assert.deepEqual(below("merged"), ["lower", "upper"]);
  assert.equal(entry("merged").mode, 0o711);
  assert.equal(below("large").length, 2000);
  assert.equal(entry("links/first").nlink, 3);
  assert.equal(entry("links/third").uid, 9);
  assert.equal(entry("modes/all").mode, 0o7777);
  assert.equal(entry("owners/large").uid, 3_000_000);
  assert.equal(entry("devices/large").device, "1234:56789");
  // containerd writes every time before 1970 as 1970 itself (archive/time.go, boundTime)
  assert.equal(entry("times/before-nanos").mtimeNs, 0n);
  assert.equal(entry("times/nanos").mtimeNs, 1_000_000_000_123_456_789n);
  // containerd sets no trusted.* from an archive (archive/tar_unix.go, setxattr)
  assert.deepEqual(Object.keys(entry("xattrs/user").xattrs), [
    "user.binary",
    "user.empty",
    "user.lines",
    "user.text",
  ]);
  assert.equal(
    entry("xattrs/capability").xattrs["security.capability"],
    "0100000200200000000000000000000000000000",
  );
  assert.ok(entry("names/\\xff"));
  assert.equal(entry("twice").sizeBytes, "second and longer".length);
  assert.equal(entry("twice-kind").target, "twice");
  assert.equal(entry("missing/parent").mode, 0o755);
  assert.equal(entry("big").sizeBytes, 12 * 2 ** 20);
  await containerd.ctr("images", "unmount", mounted);

  const ran = await ctrRun(containerd, {
    image,
    id: "odd",
    args: ["/bin/sh", "-c", "cat /etc/passwd; echo $ODD; ls /large | wc -l"],
  });
  assert.equal(ran.stdout, "root:x:0:0:root:/root:/bin/sh\nyes\n2000\n");
});
