import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeZtoc,
  encodeZtoc,
  PLACEHOLDER_NAME,
  spanTable,
  type Ztoc,
  type ZtocEntry,
  ZtocError,
} from "../../../../lib/formats/ztoc/mod.ts";
import { HeaderTable, SpanError } from "../../../../lib/layers/spans/mod.ts";
import { SpanHeaderCheck } from "../../../../lib/layers/spans/headers.ts";
import { TarBuilder } from "../../../support/images/mod.ts";
import { incompressible } from "../../../support/images/random.ts";
import { indexed, readTar, serve, type TestLayer } from "./support.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const SPAN = 16 * 1024;

/** Every kind of entry; `spanSize` is small, so that headers lie in and across many spans. */
function variedLayer(
  spanSize = SPAN,
  compression: "gzip" | "uncompressed" = "gzip",
): TestLayer {
  const tar = new TarBuilder();
  tar.dir("etc", { mode: 0o755, uid: 3, gid: 4 });
  tar.file("etc/passwd", "root:x:0:0\n", { mode: 0o640, uid: 5, gid: 6 });
  tar.symlink("etc/mtab", "/proc/mounts");
  tar.hardlink("etc/shadow", "etc/passwd");
  tar.charDevice("null", { major: 1, minor: 3 });
  tar.file("n".repeat(150), incompressible(40_000));
  for (let i = 0; i < 60; i++) {
    tar.file(`data/${i}`, incompressible(3_000 + i * 37, i + 1));
  }
  return indexed(tar, spanSize, compression);
}

/** The layer's ztoc with one entry told otherwise. */
function lying(
  { ztoc }: TestLayer,
  name: string,
  lie: Partial<ZtocEntry>,
): Ztoc {
  let told = false;
  const entries = ztoc.entries.map((entry) => {
    if (new TextDecoder().decode(entry.name) !== name) return entry;
    told = true;
    return { ...entry, ...lie };
  });
  assert.ok(told, name);
  return { ...ztoc, entries };
}

async function failureOf(work: Promise<unknown>): Promise<SpanError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SpanError, String(error));
    return error;
  }
  assert.fail("nothing was found wrong");
}

Deno.test("a true ztoc's layer is read whole, byte for byte", async () => {
  for (const size of [1024, SPAN, 2 ** 20]) {
    for (const order of ["forward", "backward"]) {
      const layer = variedLayer(size);
      await using served = serve(layer);
      const { spans } = { spans: layer.ztoc.spanDigests.length };
      const numbers = Array.from({ length: spans }, (_, i) => i);
      if (order === "backward") numbers.reverse();
      for (const span of numbers) {
        await served.reader.ensureSpans(
          span,
          span,
          "demand",
          AbortSignal.timeout(20_000),
        );
      }
      const whole = await readTar(served, 0, layer.ztoc.uncompressedSize);
      assert.deepEqual(
        whole,
        layer.tar.subarray(0, layer.ztoc.uncompressedSize),
      );
    }
  }
});

const LIES: readonly [string, string, Partial<ZtocEntry>, RegExp][] = [
  ["a file's mode", "etc/passwd", { mode: 0o4755 }, /etc\/passwd.*mode/],
  ["a file's owner", "etc/passwd", { uid: 0 }, /another uid/],
  ["a file's group", "etc/passwd", { gid: 0 }, /another gid/],
  ["a directory's mode", "etc/", { mode: 0o777 }, /"etc\/".*mode/],
  ["a directory's owner", "etc/", { uid: 1000 }, /another uid/],
  ["a name", "etc/passwd", { name: bytesOf("etc/sudoers") }, /another name/],
  ["a symlink's target", "etc/mtab", { linkname: bytesOf("/evil") }, /link/],
  ["a hard link's target", "etc/shadow", { linkname: bytesOf("x") }, /link/],
  ["a type", "etc/mtab", { type: "hardlink" }, /another type/],
  ["a device", "null", { devMinor: 8 }, /device minor/],
  ["a file's size", "etc/passwd", { size: 3 }, /another size/],
  ["a time", "etc/passwd", { modTime: "2001-01-01T00:00:00Z" }, /time/],
  [
    "an extended attribute",
    "etc/passwd",
    { xattrs: [[bytesOf("SCHILY.xattr.security.capability"), bytesOf("x")]] },
    /PAX/,
  ],
];

for (const [what, name, lie, message] of LIES) {
  Deno.test(`a ztoc that lies about ${what} is caught when the bytes arrive`, async () => {
    const layer = variedLayer(2 ** 20); // all headers in one span
    const lies: SpanError[] = [];
    await using served = serve(layer, {
      ztoc: lying(layer, name, lie),
      more: { onLie: (error) => lies.push(error) },
    });
    const error = await failureOf(readTar(served, 0, 512));
    assert.equal(error.kind, "header");
    assert.match(error.message, message);
    assert.match(error.message, new RegExp(layer.digest));
    assert.equal(served.map.presentCount, 0);
    assert.deepEqual(lies, [error]);
    // It is not fetched again for every further read.
    await failureOf(readTar(served, 0, 512));
    assert.equal(served.source.fetches.length, 1);
  });
}

Deno.test("an entry that the ztoc leaves out is caught", async () => {
  const layer = variedLayer(2 ** 20);
  const { entries } = layer.ztoc;
  for (const left of [1, entries.length - 1]) {
    await using served = serve(layer, {
      ztoc: { ...layer.ztoc, entries: entries.filter((_, i) => i !== left) },
    });
    const error = await failureOf(readTar(served, 0, 512));
    assert.equal(error.kind, "header");
  }
});

Deno.test("headers that stand for no file are passed over, and no file can be hidden as one", async () => {
  const tar = new TarBuilder().globalPax({ comment: "a commit" })
    .dir("a").globalPax({ comment: "b" }).file("a/b", "text")
    .globalPax({ comment: "c" }).symlink("c", "a").globalPax({ comment: "d" });
  const layer = indexed(tar, 2 ** 20);
  {
    await using served = serve(layer);
    await readTar(served, 0, layer.ztoc.uncompressedSize);
  }
  const plain = indexed(
    new TarBuilder().file("a", "1").file("b", "2"),
    2 ** 20,
  );
  await using served = serve(plain, {
    ztoc: lying(plain, "a", { name: PLACEHOLDER_NAME, size: 0 }),
  });
  const error = await failureOf(readTar(served, 0, 512));
  assert.equal(error.kind, "header");
});

/** How an entry's bytes may be said to lie on those of others: from those of its own and of another. */
const OVERLAPS: Readonly<
  Record<string, (own: ZtocEntry, other: ZtocEntry) => Partial<ZtocEntry>>
> = {
  "those of an earlier file": (_, { offset, size }) => ({ offset, size }),
  "the end of the one before": ({ offset }) => ({ offset: offset - 512 }),
  "the file behind it": ({ size }) => ({ size: size + 5000 }),
  "the middle of its own": ({ offset }) => ({ offset: offset + 512 }),
  "the layer's first header": () => ({ offset: 0 }),
};

for (const [where, lie] of Object.entries(OVERLAPS)) {
  Deno.test(`a file whose bytes are said to be ${where} is not read`, async () => {
    for (const size of [1024, 2 ** 20]) {
      for (const compression of ["gzip", "uncompressed"] as const) {
        const layer = variedLayer(size, compression);
        const named = (wanted: string) =>
          layer.ztoc.entries.find(({ name }) =>
            new TextDecoder().decode(name) === wanted
          )!;
        const own = named("data/40");
        const told = { ...own, ...lie(own, named("data/7")) };
        let ztoc;
        try {
          ztoc = decodeZtoc(encodeZtoc(lying(layer, "data/40", told)));
        } catch (error) {
          assert.ok(error instanceof ZtocError, String(error));
          assert.equal(error.code, "order");
          continue; // refused before anything is shown
        }
        await using served = serve(layer, { ztoc });
        const error = await failureOf(
          readTar(served, 0, layer.ztoc.uncompressedSize),
        );
        assert.equal(error.kind, "header");
        await failureOf(readTar(served, told.offset, told.size));
      }
    }
  });
}

Deno.test("however much of a span is compared at a time, the same is found, and a lie not before its header is here", () => {
  const layer = variedLayer(2 ** 20); // all headers in one span
  const entries = layer.ztoc.entries.filter(({ type }) => type === "reg");
  const spans = spanTable(layer.ztoc);
  const bytes = layer.tar.subarray(0, spans.end(0));
  const folder = Deno.makeTempDirSync();
  fc.assert(
    fc.property(
      fc.option(fc.nat(entries.length - 1), { nil: null }),
      fc.array(fc.nat(bytes.length), { maxLength: 8 }),
      (lie, ends) => {
        const liar = lie === null ? null : entries[lie]!;
        const ztoc = liar === null
          ? layer.ztoc
          : lying(layer, new TextDecoder().decode(liar.name), { uid: 99 });
        Deno.removeSync(folder, { recursive: true });
        Deno.mkdirSync(folder);
        using table = HeaderTable.open(`${folder}/headers`, ztoc, spans);
        const check = new SpanHeaderCheck(table.ofSpan(0), 0);
        for (const end of ends.toSorted((a, b) => a - b)) {
          check.advance(bytes.subarray(0, end));
          const isSeen = liar !== null && end >= liar.offset;
          assert.equal(check.difference !== null, isSeen, `${end} bytes`);
        }
        check.advance(bytes);
        if (liar === null) assert.equal(check.difference, null);
        else assert.match(check.difference ?? "", /another uid/);
      },
    ),
    { numRuns: 60 },
  );
  Deno.removeSync(folder, { recursive: true });
});

Deno.test("only spans with a lie in them fail", async () => {
  const layer = variedLayer();
  const at = layer.ztoc.entries.findIndex(({ name }) =>
    new TextDecoder().decode(name) === "data/40"
  );
  const { offset } = layer.ztoc.entries[at]!;
  await using served = serve(layer, {
    ztoc: lying(layer, "data/40", { uid: 7 }),
  });
  await failureOf(readTar(served, offset - 512, 512));
  assert.deepEqual(
    await readTar(served, 0, 1024),
    layer.tar.subarray(0, 1024),
  );
});

Deno.test("a lie in a header across two spans is caught when the second arrives, and the first is withdrawn", async () => {
  const spanSize = 700;
  const layer = variedLayer(spanSize, "uncompressed");
  let crossing = 0;
  let start = 0;
  for (const { name, offset, size } of layer.ztoc.entries.slice(0, 12)) {
    const headerStart = start;
    start = Math.ceil((offset + size) / 512) * 512;
    const firstSpan = Math.floor(headerStart / spanSize);
    if (Math.floor((offset - 1) / spanSize) === firstSpan) continue;
    crossing++;
    await using served = serve(layer, {
      ztoc: lying(layer, new TextDecoder().decode(name), { gid: 99 }),
    });
    const { reader, map } = served;
    await readTar(served, headerStart, 1);
    const next = (firstSpan + 1) * spanSize;
    const error = await failureOf(readTar(served, next, offset - next));
    assert.equal(error.kind, "header");
    await failureOf(readTar(served, headerStart, 1));
    await reader.close();
    assert.equal(map.has(firstSpan), false);
  }
  assert.ok(crossing > 0, "some headers cross");
});

Deno.test("without header checks a lying ztoc is believed, as the existing daemon can be told", async () => {
  const layer = variedLayer();
  await using served = serve(layer, {
    ztoc: lying(layer, "etc/passwd", { mode: 0o4755 }),
    headers: "trusted",
  });
  assert.equal((await readTar(served, 0, 512)).length, 512);
});

Deno.test("a torn table of headers is made again from the ztoc", async () => {
  const layer = variedLayer();
  const folder = Deno.makeTempDirSync();
  try {
    {
      await using served = serve(layer, { folder });
      await readTar(served, 0, 512);
    }
    const bytes = Deno.readFileSync(`${folder}/headers`);
    bytes[bytes.length >> 1]! ^= 1;
    Deno.writeFileSync(`${folder}/headers`, bytes);
    await using again = serve(layer, { folder });
    await readTar(again, 0, layer.ztoc.uncompressedSize);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
