import assert from "node:assert/strict";
import { Layer, oneFile, SPAN_BYTES } from "../../layers/faces/layer.ts";
import { LOOSE, python } from "./support.ts";

const TRY_ALL = `
import errno, os, sys
d = sys.argv[1]
f = d + "/file"
tries = [
  lambda: os.open(f, os.O_WRONLY), lambda: os.open(d + "/new", os.O_CREAT | os.O_WRONLY),
  lambda: os.mkdir(d + "/new"), lambda: os.unlink(f), lambda: os.rename(f, d + "/other"),
  lambda: os.link(f, d + "/other"), lambda: os.symlink("x", d + "/other"), lambda: os.chmod(f, 0),
  lambda: os.chown(f, 1, 1), lambda: os.utime(f, (1, 1)), lambda: os.truncate(f, 0),
  lambda: os.setxattr(f, "user.a", b"b"),
]
for i, act in enumerate(tries):
    try:
        act()
        print(i, "worked")
    except OSError as e:
        if e.errno != errno.EROFS: print(i, e)
`;

Deno.test({
  name: "nothing can be changed, and every attempt is told so",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(SPAN_BYTES);
    await using layer = await Layer.serve("fuse", entries, data);
    assert.equal(await python(TRY_ALL, layer.directory), "");
  },
});
