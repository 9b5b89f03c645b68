import assert from "node:assert/strict";
import { Layer } from "../../layers/faces/layer.ts";
import { LOOSE, python } from "./support.ts";

const COUNT = 3000;
/** Goes on with a listing after the caches were dropped, and from a place it was at before. */
const LIST = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
buffer = ctypes.create_string_buffer(2048)
def page():
    n = libc.syscall(217, fd, buffer, 2048)
    assert n >= 0, ctypes.get_errno()
    out, at = [], 0
    while at < n:
        length = int.from_bytes(buffer.raw[at + 16:at + 18], "little")
        out.append(buffer.raw[at + 19:at + length].split(b"\\0")[0])
        at += length
    return out
def drop():
    flags = 1 | 32 # MS_RDONLY, MS_REMOUNT
    if libc.mount(b"none", os.path.dirname(os.path.dirname(sys.argv[1])).encode(), None, flags, None): raise OSError(ctypes.get_errno(), "remount")
names = []
places = []
pages = 0
while True:
    place = os.lseek(fd, 0, os.SEEK_CUR)
    got = page()
    if not got: break
    places.append((place, got))
    names += got
    pages += 1
    if pages % 20 == 0: drop()
again = all((os.lseek(fd, place, os.SEEK_SET), page())[1] == got for place, got in places[::-7])
print(len(names), len(set(names)), b"." in names and b".." in names, again)
`;

Deno.test({
  name:
    "a listing goes on where it was after the kernel dropped its caches, and from any place again",
  ...LOOSE,
  async fn() {
    const entries = [
      { name: "d/", type: "dir" as const },
      ...Array.from({ length: COUNT }, (_, i) => ({ name: `d/entry-${i}` })),
    ];
    await using layer = await Layer.serve(
      "fuse",
      entries,
      new Uint8Array(1024),
      { workersPerMount: 2 },
    );
    assert.equal(
      await python(LIST, `${layer.directory}/d`),
      `${COUNT + 2} ${COUNT + 2} True True`,
    );
  },
});
