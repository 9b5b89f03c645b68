import assert from "node:assert/strict";
import { Layer, oneFile } from "../../layers/faces/layer.ts";
import { LOOSE, python } from "./support.ts";

/** Asks with buffers of many sizes, as the C library's callers may. */
const ASK = `
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
path = os.fsencode(sys.argv[1])
def get(name, size):
    b = ctypes.create_string_buffer(max(size, 1))
    n = libc.lgetxattr(path, name, b, size)
    return (n, b.raw[:n] if size else b"") if n >= 0 else errno.errorcode[ctypes.get_errno()]
def names(size):
    b = ctypes.create_string_buffer(max(size, 1))
    n = libc.llistxattr(path, b, size)
    return (n, sorted(b.raw[:n].split(b"\\0")) if size else []) if n >= 0 else errno.errorcode[ctypes.get_errno()]
print(get(b"user.short", 0), get(b"user.short", 5), get(b"user.short", 4), get(b"user.short", 9))
print(get(b"user.long", 0)[0], get(b"user.long", 20000)[0], get(b"user.long", 19999))
print(get(b"user.none", 0), get(b"user.none", 64), get(b"user.shor", 64), get(b"user.shorter", 64))
print(names(0), names(21), names(20), names(99))
`;

Deno.test({
  name:
    "extended attributes are given for every buffer size, or the right error",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(1000);
    const xattrs = {
      "SCHILY.xattr.user.short": "value",
      "SCHILY.xattr.user.long": "x".repeat(20_000),
    };
    await using layer = await Layer.serve(
      "fuse",
      entries.map((facts) => ({ ...facts, xattrs })),
      data,
    );
    assert.match(layer.directory, /\/x\/7$/);
    const listed = `(21, [b'', b'user.long', b'user.short'])`;
    assert.deepEqual(
      (await python(ASK, `${layer.directory}/file`)).split("\n"),
      [
        "(5, b'') (5, b'value') ERANGE (5, b'value')",
        "20000 20000 ERANGE",
        "ENODATA ENODATA ENODATA ENODATA",
        `(21, []) ${listed} ERANGE ${listed}`,
      ],
    );
  },
});

Deno.test({
  name:
    "where there are no extended attributes a list of them is empty, and the kernel is told once that there is none of any name",
  ...LOOSE,
  async fn() {
    const { entries, data } = oneFile(1000);
    await using layer = await Layer.serve("fuse", entries, data);
    assert.match(layer.directory, /\/n\/7$/);
    const ask = `
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
path = os.fsencode(sys.argv[1])
def names(size):
    b = ctypes.create_string_buffer(max(size, 1))
    n = libc.llistxattr(path, b, size)
    return n if n >= 0 else errno.errorcode[ctypes.get_errno()]
print(names(0), names(1), names(65536))
try: print(os.getxattr(sys.argv[1], "user.a"))
except OSError as e: print(errno.errorcode[e.errno])
print(names(0), names(65536))`;
    assert.equal(
      await python(ask, `${layer.directory}/file`),
      "0 0 0\nENOTSUP\n0 0",
    );
  },
});
