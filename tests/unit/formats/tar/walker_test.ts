import assert from "node:assert/strict";
import {
  parseHeader,
  type TarEntry,
  TarError,
  type TarErrorCode,
  TarWalker,
} from "../../../../lib/formats/tar/mod.ts";

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const hex = (bytes: Uint8Array) => bytes.toHex();

function walk(tar: Uint8Array, chunkSize = () => tar.length || 1) {
  const entries: TarEntry[] = [];
  const walker = new TarWalker({ onEntry: (entry) => entries.push(entry) });
  for (let at = 0; at < tar.length;) {
    const size = chunkSize();
    // A copy that is wiped afterwards: nothing may hold on to the chunk.
    const chunk = tar.slice(at, at + size);
    walker.push(chunk);
    chunk.fill(0xee);
    at += size;
  }
  return { entries, size: walker.finish().size };
}

/** A header block; `fields` are [offset, text] to write over the defaults. */
function block(fields: ReadonlyArray<[number, string | Uint8Array]>) {
  const bytes = new Uint8Array(512);
  const defaults: Array<[number, string]> = [
    [0, "file"],
    [100, "0000644\0"],
    [108, "0000000\0"],
    [116, "0000000\0"],
    [124, "00000000000\0"],
    [136, "00000000000\0"],
    [156, "0"],
    [257, "ustar\x0000"],
  ];
  for (const [at, value] of [...defaults, ...fields]) {
    bytes.set(typeof value === "string" ? utf8.encode(value) : value, at);
  }
  bytes.fill(0x20, 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.set(utf8.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return bytes;
}

const GNU: [number, string] = [257, "ustar  \0"];
const END = new Uint8Array(1024);

function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function padded(data: Uint8Array): Uint8Array {
  return concat(data, new Uint8Array((512 - data.length % 512) % 512));
}

function pax(...records: string[]): Uint8Array {
  const data = utf8.encode(records.join(""));
  const size = data.length.toString(8).padStart(11, "0") + "\0";
  return concat(block([[156, "x"], [124, size]]), padded(data));
}

function rejects(tar: Uint8Array, code: TarErrorCode, offset?: number) {
  assert.throws(() => walk(tar), (error) => {
    assert(error instanceof TarError, String(error));
    assert.equal(error.code, code, error.message);
    if (offset !== undefined) assert.equal(error.offset, offset);
    return true;
  });
}

Deno.test("archives of Python's tarfile read the same, whatever the chunks", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { stdout, success, stderr } = await new Deno.Command("python3", {
      args: [`${import.meta.dirname}/tar_maker.py`, folder, "240"],
    }).output();
    assert(success, text(stderr));
    let seed = 1;
    const random = (below: number) =>
      (seed = (seed * 48271) % 0x7fffffff) % below;
    const lines = text(stdout).trim().split("\n");
    assert.equal(lines.length, 240);
    for (const [number, line] of lines.entries()) {
      const wanted = JSON.parse(line);
      const tar = await Deno.readFile(`${folder}/${number}.tar`);
      const whole = walk(tar);
      const pieces = walk(tar, () => 1 + random(number % 2 ? 40 : 3000));
      assert.deepEqual(pieces, whole, `archive ${number}`);
      assert.equal(whole.entries.length, wanted.entries.length);
      for (const [i, entry] of whole.entries.entries()) {
        const expected = wanted.entries[i];
        const { pax: expectedPax, mtime, ...fields } = expected;
        // Python strips a directory's slash and keeps link sizes; Go does neither.
        const name = text(entry.name).replace(/\/+$/, "");
        assert.equal(
          entry.type === "dir" ? hex(utf8.encode(name)) : hex(entry.name),
          fields.type === "dir"
            ? hex(utf8.encode(text(Uint8Array.fromHex(fields.name))))
            : fields.name,
        );
        for (
          const key of [
            "type",
            "offset",
            "headerOffset",
            "size",
            "mode",
            "uid",
            "gid",
            "devMajor",
            "devMinor",
          ] as const
        ) assert.equal(entry[key], fields[key], `archive ${number} ${key}`);
        assert.equal(hex(entry.linkname), fields.linkname);
        assert.equal(hex(entry.uname), fields.uname);
        assert.equal(hex(entry.gname), fields.gname);
        const { seconds, nanos } = entry.mtime;
        assert(Math.abs(seconds + nanos / 1e9 - mtime) < 1e-6);
        assert.deepEqual(
          Object.fromEntries(entry.pax.map(([k, v]) => [hex(k), hex(v)])),
          expectedPax,
        );
        assert.deepEqual(
          parseHeader(tar.subarray(entry.headerOffset, entry.offset)),
          {
            ...entry,
            headerOffset: 0,
            offset: entry.offset - entry.headerOffset,
          },
        );
      }
      const last = whole.entries.at(-1);
      const dataEnd = last === undefined
        ? 0
        : last.offset + Math.ceil(last.size / 512) * 512;
      assert.equal(whole.size, dataEnd + 1024);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("PAX records replace header fields and are all kept, sorted", () => {
  const { entries } = walk(concat(
    pax(
      "12 path=b/c\n",
      "10 uid=77\n",
      "15 mtime=-1.25\n",
      "14 comment=é\n",
      "9 uname=\n",
      "6 a=b\n",
    ),
    block([[265, "root"]]),
    END,
  ));
  assert.equal(entries.length, 1);
  const [entry] = entries;
  assert.equal(text(entry!.name), "b/c");
  assert.equal(entry!.uid, 77);
  assert.equal(text(entry!.uname), "root", "an empty value replaces nothing");
  assert.deepEqual(entry!.mtime, { seconds: -2, nanos: 750_000_000 });
  assert.deepEqual(entry!.pax.map(([key]) => text(key)), [
    "a",
    "comment",
    "mtime",
    "path",
    "uid",
    "uname",
  ]);
});

Deno.test("a GNU long name wins over the header and belongs to one entry", () => {
  const long = "n".repeat(300);
  const { entries } = walk(concat(
    block([[0, "././@LongLink"], [156, "L"], [124, "00000000455\0"], GNU]),
    padded(utf8.encode(`${long}\0`)),
    block([GNU]),
    block([GNU]),
    END,
  ));
  assert.deepEqual(entries.map(({ name }) => text(name)), [long, "file"]);
  assert.deepEqual(entries.map((e) => [e.headerOffset, e.offset]), [
    [0, 1536],
    [1536, 2048],
  ]);
});

Deno.test("base-256 numbers are read, positive and negative", () => {
  const size = new Uint8Array([0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
  const walker: TarEntry[] = [];
  new TarWalker({ onEntry: (entry) => walker.push(entry) }).push(block([
    GNU,
    [124, size],
    [136, new Uint8Array(12).fill(0xff)],
    [108, new Uint8Array([0x80, 0, 0, 0, 0x80, 0, 0, 0])],
  ]));
  assert.equal(walker[0]!.size, 2 ** 33);
  assert.equal(walker[0]!.mtime.seconds, -1);
  assert.equal(walker[0]!.uid, 2 ** 31);
});

Deno.test("the prefix field goes before the name, and GNU headers have none", () => {
  const withPrefix = block([[345, "some/dir"]]);
  assert.equal(text(walk(withPrefix).entries[0]!.name), "some/dir/file");
  const gnu = block([GNU, [345, "00000000001\x0000000000002\0"]]);
  assert.equal(text(walk(gnu).entries[0]!.name), "file");
  const buggyGo = block([GNU, [345, "some/dir"]]);
  assert.equal(text(walk(buggyGo).entries[0]!.name), "some/dir/file");
});

Deno.test("old headers name directories by a slash, and links carry no data", () => {
  const old: [number, string][] = [[257, "\0\0\0\0\0\0\0\0"], [156, "\0"]];
  const { entries } = walk(concat(
    block([...old, [0, "dir/\0"], [124, "00000000777\0"]]),
    block([...old, [124, "00000000001\0"]]),
    padded(new Uint8Array(1)),
    block([[156, "1"], [157, "file"], [124, "00000001000\0"]]),
    END,
  ));
  assert.deepEqual(entries.map((e) => [e.type, e.size, e.offset]), [
    ["dir", 0, 512],
    ["reg", 1, 1024],
    ["hardlink", 0, 2048],
  ]);
});

Deno.test("the size ends after the second zero block, or where the tar ends", () => {
  const file = concat(block([[124, "00000000003\0"]]), utf8.encode("abc"));
  assert.equal(
    walk(concat(padded(file), END, new Uint8Array(9000))).size,
    2048,
  );
  assert.equal(walk(concat(padded(file), END.subarray(512))).size, 1536);
  assert.equal(walk(padded(file)).size, 1024);
  assert.equal(walk(file).size, 515);
  assert.equal(walk(new Uint8Array(0)).size, 0);
  assert.equal(walk(concat(END, utf8.encode("anything"))).size, 1024);
});

Deno.test("global headers, labels and access rules are passed over, with what was said before them", () => {
  const label = block([[156, "V"], [0, "a label"], [124, "00000000003\0"]]);
  const data = padded(utf8.encode("abc"));
  const global = pax("14 path=other\n");
  global[156] = 0x67;
  global.fill(0x20, 148, 156);
  const sum = global.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  global.set(utf8.encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  const tar = concat(
    pax("13 path=lost\n"),
    global,
    block([[124, "00000000003\0"]]),
    data,
    label,
    data,
    block([[0, "second"]]),
    block([[0, "third"], [156, "7"], [124, "00000000003\0"]]),
    data,
    END,
  );
  const { entries, size } = walk(tar, () => 100);
  assert.equal(size, tar.length);
  assert.deepEqual(
    entries.map((e) => [text(e.name), e.type, e.headerOffset, e.offset]),
    [
      ["file", "reg", 2048, 2560],
      ["second", "reg", 4096, 4608],
      ["third", "reg", 4608, 5120],
    ],
  );
  rejects(concat(pax("x")), "pax");
  const broken = concat(global);
  broken.fill(0x78, 512, 520);
  rejects(broken, "pax");
});

Deno.test("what cannot be indexed is refused with its place", () => {
  const file = block([]);
  rejects(concat(file, block([[156, "M"]])), "unsupported-type", 512);
  rejects(block([[156, "S"], GNU]), "sparse", 0);
  rejects(concat(file, pax("22 GNU.sparse.major=1\n")), "sparse", 512);
  const broken = block([]);
  broken[0]! ^= 1;
  rejects(concat(file, broken), "header", 512);
  rejects(concat(new Uint8Array(512), file), "header", 512);
  rejects(block([[124, "0000000000x\0"]]), "number", 0);
  rejects(block([[124, new Uint8Array(12).fill(0xff)]]), "number", 0);
  rejects(
    block([[124, new Uint8Array([0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]]),
    "number",
  );
  rejects(block([[156, "x"], [124, "00004000001\0"]]), "too-long", 0);
  for (
    const record of [
      "x",
      "5 a=b\n",
      "99 a=b\n",
      "6 a=bc",
      "6 =bc\n",
      "6 abc\n",
      "9 path=\0\n",
      "15 mtime=1.2.3\n",
      "10 uid=1x\n",
    ]
  ) rejects(concat(pax(record), file), "pax");
});

Deno.test("sparse files of GNU tar are refused in every form", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const sparse = await Deno.open(`${folder}/file`, {
      create: true,
      write: true,
    });
    await sparse.truncate(10_000_000);
    await sparse.seek(5_000_000, Deno.SeekMode.Start);
    await sparse.write(utf8.encode("data"));
    sparse.close();
    for (const form of ["gnu", "0.0", "0.1", "1.0"]) {
      const format = form === "gnu"
        ? ["--format=gnu"]
        : ["--format=posix", `--sparse-version=${form}`];
      const { stdout, success } = await new Deno.Command("tar", {
        args: ["-cSf", "-", ...format, "-C", folder, "file"],
      }).output();
      assert(success);
      assert(stdout.length < 100_000, "GNU tar saw the holes");
      rejects(stdout, "sparse");
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a tar that breaks off inside an entry is refused", () => {
  const tar = concat(
    pax("6 a=b\n"),
    block([[124, "00000001001\0"]]),
    new Uint8Array(513).fill(7),
  );
  for (let length = 1; length < tar.length; length += 37) {
    // Whole headers may be the last thing there is, as with Go's reader.
    if (length % 512 === 0 || (length > 518 && length < 1024)) continue;
    rejects(tar.subarray(0, length), "truncated", length);
  }
  walk(tar);
});

Deno.test("bytes that are not exactly one header are no header", () => {
  assert.throws(() => parseHeader(new Uint8Array(512)), TarError);
  assert.throws(() => parseHeader(new Uint8Array(0)), TarError);
  assert.throws(() => parseHeader(concat(block([]), block([]))), TarError);
});
