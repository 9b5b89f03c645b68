import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import {
  decodeCheckpoints,
  decodeZtoc,
  encodeTarSpans,
  encodeZtoc,
  formatModTime,
  parseModTime,
  spanTable,
  type Ztoc,
  ZtocError,
  type ZtocErrorCode,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import { FILE } from "../../../../lib/formats/ztoc/schema.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  parseHeader,
  type TarEntry,
  TarWalker,
} from "../../../../lib/formats/tar/mod.ts";
import { blob, ZTOCS } from "./fixture.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function sample(change: Partial<Ztoc> = {}): Ztoc {
  return { ...decodeZtoc(blob(ZTOCS[2]!.digest)), ...change };
}

function rejects(ztoc: Ztoc, code: ZtocErrorCode): void {
  assert.throws(() => decodeZtoc(encodeZtoc(ztoc)), (error) => {
    assert(error instanceof ZtocError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

Deno.test("ztocs of the existing tools are read and written back to the same bytes", () => {
  assert.equal(ZTOCS.length, 3);
  for (const { digest } of ZTOCS) {
    const original = blob(digest);
    const ztoc = decodeZtoc(original);
    assert.equal(ztoc.version, "0.9");
    assert.equal(ztoc.buildTool, "AWS SOCI CLI v0.1");
    assert.deepEqual(encodeZtoc(ztoc), original);
  }
});

Deno.test("a ztoc's entries are the tar's", () => {
  for (const { digest, layerDigest, compression } of ZTOCS) {
    const ztoc = decodeZtoc(blob(digest));
    const layer = blob(layerDigest);
    const tar = compression === "gzip" ? gunzipSync(layer) : layer;
    const found: TarEntry[] = [];
    const walker = new TarWalker({ onEntry: (entry) => found.push(entry) });
    walker.push(tar);
    assert.equal(walker.finish().size, ztoc.uncompressedSize);
    assert.deepEqual(
      ztoc.entries,
      found.map(({ headerOffset: _, mtime, pax, ...entry }) => ({
        ...entry,
        modTime: formatModTime(mtime),
        xattrs: pax,
      })),
    );
    for (const [i, { headerOffset, offset, name }] of found.entries()) {
      assert.deepEqual(
        parseHeader(tar.subarray(headerOffset, offset)).name,
        name,
      );
      assert.deepEqual(
        parseModTime(ztoc.entries[i]!.modTime),
        found[i]!.mtime,
      );
    }
  }
});

Deno.test("spans cover the layer, and their digests are those of the blob's bytes", () => {
  for (const { digest, layerDigest } of ZTOCS) {
    const ztoc = decodeZtoc(blob(digest));
    const layer = blob(layerDigest);
    const spans = spanTable(ztoc);
    assert(spans.count > 0);
    for (let i = 0; i < spans.count; i++) {
      const piece = layer.subarray(
        spans.compressedStart(i),
        spans.compressedEnd(i),
      );
      assert.equal(sha256(piece), spans.digest(i));
      assert.equal(spans.spanAt(spans.start(i)), i);
      assert.equal(spans.spanAt(spans.end(i) - 1), i);
      assert.equal(spans.start(i), i === 0 ? 0 : spans.end(i - 1));
    }
    assert.equal(spans.end(spans.count - 1), ztoc.uncompressedSize);
    assert.throws(() => spans.spanAt(-1), RangeError);
    assert.throws(() => spans.spanAt(spans.end(spans.count - 1)), RangeError);
    assert.throws(() => spans.spanAt(NaN), RangeError);
  }
});

Deno.test("numbers keep their value over the whole range, negative too", () => {
  const entry = {
    ...sample().entries[0]!,
    name: Uint8Array.of(0xff, 0x80, 0x2f),
    mode: -5,
    uid: 2 ** 32 - 1,
    gid: 2 ** 31,
    devMajor: -(2 ** 40) - 3,
    devMinor: 2 ** 52 + 1,
    linkname: bytes("x".repeat(60000)),
    xattrs: Array.from(
      { length: 300 },
      (_, i) => [bytes(`k${i}`), Uint8Array.of(0, i & 255)] as const,
    ),
  };
  const ztoc = sample({ entries: [entry] });
  assert.deepEqual(decodeZtoc(encodeZtoc(ztoc)), ztoc);
});

Deno.test("facts that do not fit together are refused", () => {
  const { entries, spanDigests } = sample();
  const first = entries[0]!;
  rejects(sample({ entries: [first, first] }), "order");
  rejects(sample({ entries: [{ ...first, offset: 511 }] }), "order");
  rejects(sample({ entries: [{ ...first, size: 2 ** 50 }] }), "order");
  rejects(sample({ entries: [{ ...first, size: -1 }] }), "value");
  rejects(sample({ entries: [{ ...first, type: "door" as "dir" }] }), "value");
  rejects(
    sample({ entries: [{ ...first, name: new Uint8Array(70000) }] }),
    "too-large",
  );
  rejects(sample({ spanDigests: spanDigests.slice(1) }), "count");
  rejects(sample({ compressedSize: 5 }), "count");
  rejects(sample({ compressedSize: -5 }), "value");
  rejects(sample({ checkpoints: new Uint8Array(0) }), "bounds");
  const named = spanDigests.map(() => "sha512:00" as typeof spanDigests[0]);
  rejects(sample({ spanDigests: named }), "value");
});

Deno.test("checkpoints of old tools imply the first one", () => {
  const blobV2 = decodeZtoc(blob(ZTOCS[0]!.digest)).checkpoints;
  const { checkpoints, spanSize } = decodeCheckpoints(blobV2);
  assert.equal(spanSize, 65536);
  assert(checkpoints.length > 1);
  const blobV1 = encodeCheckpoints({ version: 1, spanSize, checkpoints });
  assert.equal(blobV1.length, blobV2.length - 32785);
  const old = decodeCheckpoints(blobV1);
  assert.equal(old.version, 1);
  assert.deepEqual(old.checkpoints, [
    { in: 10, out: 0, bits: 0, window: new Uint8Array(32768) },
    ...checkpoints.slice(1),
  ]);
  assert.deepEqual(encodeCheckpoints(old), blobV1);
  assert.deepEqual(
    encodeCheckpoints({ version: 2, spanSize, checkpoints }),
    blobV2,
  );
  for (
    const bad of [blobV2.slice(0, -1), blobV2.slice(0, 11), blobV1.slice(12)]
  ) {
    assert.throws(() => decodeCheckpoints(bad), ZtocError);
  }
});

Deno.test("spans that do not ascend or lie outside the blob are refused", () => {
  const ztoc = decodeZtoc(blob(ZTOCS[0]!.digest));
  const { spanSize, checkpoints } = decodeCheckpoints(ztoc.checkpoints);
  const change = (i: number, by: Partial<typeof checkpoints[0]>) =>
    rejects({
      ...ztoc,
      checkpoints: encodeCheckpoints({
        version: 2,
        spanSize,
        checkpoints: checkpoints.with(i, { ...checkpoints[i]!, ...by }),
      }),
    }, "bits" in by ? "value" : "order");
  change(0, { out: 1 });
  change(0, { in: 0 });
  change(2, { out: 0 });
  change(1, { in: checkpoints[0]!.in });
  change(1, { in: ztoc.compressedSize + 1 });
  change(2, { out: checkpoints[1]!.out });
  change(2, { bits: 8 });
});

Deno.test("cut or altered bytes give a ztoc or a ZtocError, in bounded time", () => {
  let seed = 12345;
  const random = (below: number) =>
    (seed = (seed * 48271) % 0x7fffffff) % below;
  // The small one is nearly all structure; in the others aim at the parts outside the windows.
  const originals = ZTOCS.map(({ digest }) => blob(digest));
  const started = performance.now();
  const outcome = { read: 0, refused: 0 };
  for (let round = 0; round < 6000; round++) {
    const original = originals[round % 10 === 0 ? 0 : round % 5 === 0 ? 1 : 2]!;
    const altered = original.slice(
      0,
      round % 7 === 0 ? random(original.length) : original.length,
    );
    const near = Math.min(altered.length, 60000);
    for (let flips = random(4); flips >= 0 && altered.length > 0; flips--) {
      const at = round % 2 === 0
        ? random(near)
        : altered.length - 1 - random(Math.min(near, 700));
      altered[at] = random(3) === 0
        ? [0, 0xff, 0x7f, 0x80][random(4)]!
        : altered[at]! ^ (1 << random(8));
    }
    try {
      const ztoc = decodeZtoc(altered);
      encodeZtoc(ztoc);
      spanTable(ztoc);
      outcome.read++;
    } catch (error) {
      assert(error instanceof ZtocError, `round ${round}: ${error}`);
      outcome.refused++;
    }
  }
  assert(outcome.read > 100 && outcome.refused > 100, JSON.stringify(outcome));
  assert(performance.now() - started < 30_000);
});

Deno.test("a buffer that refers to itself over and over does not unfold", () => {
  const entry = (i: number, name: string) => ({
    ...sample().entries[0]!,
    name: bytes(name),
    size: 0,
    offset: 512 * (i + 1),
  });
  const count = 20_000;
  const size = 512 * (count + 2);
  const hostile = encodeZtoc(sample({
    entries: [
      ...Array.from({ length: count }, (_, i) => entry(i, "n")),
      entry(count, "n".repeat(60_000)),
    ],
    uncompressedSize: size,
    compressedSize: size,
    compression: "uncompressed",
    spanDigests: [sha256(bytes(""))],
    checkpoints: encodeTarSpans({ spanSize: size, size }),
  }));
  const view = new DataView(hostile.buffer);
  const field = (table: number, slot: number) => {
    const vtable = table - view.getInt32(table, true);
    return table + view.getUint16(vtable + 4 + 2 * slot, true);
  };
  const follow = (at: number) => at + view.getUint32(at, true);
  const elements = follow(field(follow(field(follow(0), 4)), 0)) + 4;
  const nameOf = (i: number) => field(follow(elements + 4 * i), FILE.name);
  // Every entry has the large name: 1.2 GB of names in a few megabytes.
  const large = follow(nameOf(count));
  for (let i = 0; i < count; i++) {
    const at = nameOf(i);
    view.setUint32(at, large - at, true);
  }
  assert.throws(
    () => decodeZtoc(hostile),
    (error) => error instanceof ZtocError && error.code === "too-large",
  );
});

Deno.test("a layer has a quarter of a million spans at most", () => {
  const ofSpans = (count: number) =>
    sample({
      entries: [],
      uncompressedSize: count,
      compressedSize: count,
      compression: "uncompressed",
      spanDigests: new Array(count).fill(sha256(bytes(""))),
      checkpoints: encodeTarSpans({ spanSize: 1, size: count }),
    });
  assert.equal(spanTable(ofSpans(2 ** 18)).count, 2 ** 18);
  rejects(ofSpans(2 ** 18 + 1), "too-large");
});

Deno.test("times are read in any zone and written in UTC", () => {
  const read = (text: string, seconds: number, nanos = 0) =>
    assert.deepEqual(parseModTime(text), { seconds, nanos }, text);
  read("1970-01-01T00:00:00Z", 0);
  read("2023-11-14T22:13:20.5Z", 1700000000, 500_000_000);
  read("2023-11-15T00:13:20+02:00", 1700000000);
  read("2023-11-14T16:43:20.000000001-05:30", 1700000000, 1);
  read("1969-12-31T23:59:58.75Z", -2, 750_000_000);
  read("0000-01-01T00:00:00Z", -62167219200);
  read("9999-12-31T23:59:59Z", 253402300799);
  for (
    const bad of ["", "yesterday", "2023-02-30T00:00:00Z", "2023-01-01", "x"]
  ) read(bad, 0);
  for (
    const [seconds, nanos, text] of [
      [0, 0, "1970-01-01T00:00:00Z"],
      [-2, 750_000_000, "1969-12-31T23:59:58.75Z"],
      [1700000000, 1, "2023-11-14T22:13:20.000000001Z"],
      [-62167219200, 0, "0000-01-01T00:00:00Z"],
      [253402300800, 0, ""],
      [-62167219201, 0, ""],
    ] as const
  ) assert.equal(formatModTime({ seconds, nanos }), text);
});
