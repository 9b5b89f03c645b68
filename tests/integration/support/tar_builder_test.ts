import assert from "node:assert/strict";
import { TarBuilder, type TarFormat } from "../../support/images/mod.ts";

/** Reads an archive with Python's tarfile, as an independent judge. */
async function listed(
  tar: Uint8Array,
): Promise<Array<Record<string, unknown>>> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeFile(path, tar);
    const script = `
import json, sys, tarfile
with tarfile.open(sys.argv[1], errors="surrogateescape") as t:
    print(json.dumps([dict(name=m.name.encode("utf-8", "surrogateescape").hex(), type=m.type.decode(),
        mode=m.mode, uid=m.uid, gid=m.gid, size=m.size, mtime=repr(float(m.mtime)),
        link=m.linkname.encode("utf-8", "surrogateescape").hex(), major=m.devmajor, minor=m.devminor,
        pax={k: v.encode("utf-8", "surrogateescape").hex() for k, v in m.pax_headers.items()
             if k.startswith("SCHILY.")}) for m in t]))
`;
    const { stdout, success } = await new Deno.Command("/usr/bin/python3", {
      args: ["-c", script, path],
      stderr: "inherit",
    }).output();
    assert.ok(success);
    return JSON.parse(new TextDecoder().decode(stdout));
  } finally {
    await Deno.remove(path);
  }
}

const hex = (bytes: Uint8Array | string) =>
  (typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes).toHex();

for (const format of ["pax", "gnu"] satisfies TarFormat[]) {
  Deno.test(`python reads back what TarBuilder writes in ${format}`, async () => {
    const raw = Uint8Array.of(0x62, 0xff, 0xfe);
    const long = `${"d".repeat(200)}/${"é".repeat(100)}/end`;
    const tar = new TarBuilder({ format })
      .dir("dir", { mode: 0o1777, uid: 5_000_000 })
      .file("dir/file", "hello", {
        mtime: { seconds: -86_400, nanos: 0 },
        mode: 0o4755,
      })
      .file(raw, "raw")
      .file(long, "long")
      .hardlink("hard", long)
      .symlink("soft", long)
      .charDevice("null", { major: 1, minor: 3 })
      .blockDevice("loop", { major: 7, minor: 9 })
      .fifo("pipe")
      .whiteout("dir/gone")
      .opaque("dir")
      .finish();
    assert.equal(tar.length % 512, 0);
    const entries = await listed(tar);
    const got = entries.map((e) => [e.name, e.type, e.size]);
    assert.deepEqual(got, [
      [hex("dir"), "5", 0],
      [hex("dir/file"), "0", 5],
      [hex(raw), "0", 3],
      [hex(long), "0", 4],
      [hex("hard"), "1", 0],
      [hex("soft"), "2", 0],
      [hex("null"), "3", 0],
      [hex("loop"), "4", 0],
      [hex("pipe"), "6", 0],
      [hex("dir/.wh.gone"), "0", 0],
      [hex("dir/.wh..wh..opq"), "0", 0],
    ]);
    assert.equal(entries[0]!.uid, 5_000_000);
    assert.equal(entries[0]!.mode, 0o1777);
    assert.equal(entries[1]!.mtime, "-86400.0");
    assert.equal(entries[5]!.link, hex(long));
    assert.deepEqual([entries[7]!.major, entries[7]!.minor], [7, 9]);
  });
}

Deno.test("python reads back nanoseconds and extended attributes in pax", async () => {
  const capability = Uint8Array.fromHex(
    "0100000200040000000000000000000000000000",
  );
  const entries = await listed(
    new TarBuilder()
      .file("a", "x", { mtime: { seconds: -2, nanos: 500_000_000 } })
      .file("b", "y", {
        mtime: { seconds: 1, nanos: 20 },
        xattrs: { "user.note": "text", "security.capability": capability },
      })
      .finish(),
  );
  assert.equal(entries[0]!.mtime, "-1.5");
  assert.equal(entries[1]!.mtime, "1.00000002");
  assert.deepEqual(entries[1]!.pax, {
    "SCHILY.xattr.user.note": hex("text"),
    "SCHILY.xattr.security.capability": hex(capability),
  });
});

Deno.test("ustar refuses what it cannot hold", () => {
  assert.throws(
    () => new TarBuilder({ format: "ustar" }).file("a".repeat(101)),
    /ustar cannot hold path/,
  );
});
