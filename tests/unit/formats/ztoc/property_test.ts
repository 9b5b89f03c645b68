import assert from "node:assert/strict";
import fc from "fast-check";
import { type Digest, sha256 } from "../../../../lib/formats/oci/mod.ts";
import {
  decodeZtoc,
  encodeTarSpans,
  encodeZtoc,
  type Ztoc,
  ZtocBuilder,
  type ZtocEntry,
} from "../../../../lib/formats/ztoc/mod.ts";
import { encodeCheckpoints } from "../../../../lib/formats/ztoc/checkpoints.ts";
import {
  decodeIndex,
  decodePrefetch,
  encodeIndex,
  encodePrefetch,
  makeIndex,
  SociError,
  ztocDescriptor,
} from "../../../../lib/formats/soci/mod.ts";
import { run } from "../../../support/host/mod.ts";
import { TarBuilder } from "../../../support/images/mod.ts";

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const uint32 = fc.nat(2 ** 32 - 1);
const digest = fc.uint8Array({ maxLength: 8 }).map(sha256);
const int54 = fc.maxSafeInteger();

const entry = fc.record({
  name: bytes(300),
  type: fc.constantFrom(
    ...["reg", "dir", "symlink", "hardlink", "char", "block", "fifo"] as const,
  ),
  size: fc.nat(100_000),
  linkname: bytes(100),
  mode: int54,
  uid: uint32,
  gid: uint32,
  uname: bytes(40),
  gname: bytes(40),
  modTime: fc.constantFrom(
    ...["", "1970-01-01T00:00:00Z", "2024-02-29T23:59:59.123456789Z"],
  ),
  devMajor: int54,
  devMinor: int54,
  xattrs: fc.array(fc.tuple(bytes(40), bytes(200)), { maxLength: 4 }),
  /** Blocks between this entry's header and the data before it. */
  gap: fc.nat(5),
});

type Facts = typeof entry extends fc.Arbitrary<infer T> ? T : never;

/** Puts entries one behind the other, as a tar does. */
function placed(
  facts: readonly Facts[],
): { entries: ZtocEntry[]; end: number } {
  let end = 0;
  const entries = facts.map(({ gap, ...rest }) => {
    const offset = end + 512 * (1 + gap);
    end = Math.ceil((offset + rest.size) / 512) * 512;
    return { ...rest, offset };
  });
  return { entries, end };
}

const tarZtoc: fc.Arbitrary<Ztoc> = fc.record({
  facts: fc.array(entry, { maxLength: 20 }),
  spanSize: fc.integer({ min: 20_000, max: 5_000_000 }),
}).map(({ facts, spanSize }) => {
  const { entries, end } = placed(facts);
  const size = end + 1024;
  return {
    version: "0.9",
    buildTool: "property test",
    compressedSize: size,
    uncompressedSize: size,
    entries,
    compression: "uncompressed",
    spanDigests: Array.from(
      { length: Math.ceil(size / spanSize) },
      (_, i) => sha256(Uint8Array.of(i)),
    ),
    checkpoints: encodeTarSpans({ spanSize, size }),
  };
});

const gzipZtoc: fc.Arbitrary<Ztoc> = fc.record({
  facts: fc.array(entry, { maxLength: 5 }),
  steps: fc.array(
    fc.tuple(
      fc.integer({ min: 1, max: 2 ** 25 }),
      fc.integer({ min: 1, max: 2 ** 25 }),
      fc.nat(7),
      digest,
    ),
    { minLength: 1, maxLength: 3 },
  ),
}).map(({ facts, steps }) => {
  const { entries, end } = placed(facts);
  let [input, out] = [0, 0];
  const checkpoints = steps.map(([inStep, outStep, bits], i) => {
    input += inStep;
    if (i > 0) out += outStep;
    return { in: input, out, bits, window: new Uint8Array(32768).fill(i) };
  });
  return {
    version: "0.9",
    buildTool: "property test",
    compressedSize: input + 100,
    uncompressedSize: Math.max(end, out) + 1024,
    entries,
    compression: "gzip",
    spanDigests: steps.map(([, , , spanDigest]) => spanDigest),
    checkpoints: encodeCheckpoints({ version: 2, spanSize: 1, checkpoints }),
  };
});

Deno.test("any ztoc that is written is read back, every field", () => {
  fc.assert(
    fc.property(fc.oneof(tarZtoc, gzipZtoc), (ztoc) => {
      assert.deepEqual(decodeZtoc(encodeZtoc(ztoc)), ztoc);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a reader that shares nothing with ours finds the same in what we write", async () => {
  const ztocs = fc.sample(fc.oneof(tarZtoc, gzipZtoc), {
    numRuns: 60,
    seed: 1,
  });
  const folder = await Deno.makeTempDir();
  try {
    const paths = await Promise.all(ztocs.map(async (ztoc, i) => {
      await Deno.writeFile(`${folder}/${i}`, encodeZtoc(ztoc));
      return `${folder}/${i}`;
    }));
    const { stdout } = await run("python3", [
      ...[`${import.meta.dirname}/ztoc_reader.py`, ...paths],
    ]);
    const read = stdout.trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(read.length, ztocs.length);
    for (const [i, { compression, spanDigests, ...ztoc }] of ztocs.entries()) {
      assert.deepEqual(read[i], {
        ...ztoc,
        entries: ztoc.entries.map((file) => ({
          ...file,
          name: file.name.toHex(),
          linkname: file.linkname.toHex(),
          uname: file.uname.toHex(),
          gname: file.gname.toHex(),
          xattrs: file.xattrs.map((pair) => pair.map((part) => part.toHex())),
        })),
        algorithm: compression === "gzip" ? 1 : 2,
        maxSpanId: spanDigests.length - 1,
        spanDigests,
        checkpoints: ztoc.checkpoints.toHex(),
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const descriptor = fc.record({
  digest,
  size: fc.nat(2 ** 28),
  layer: digest,
  mediaType: fc.string({ unit: "grapheme", maxLength: 60 }),
  spanSizeBytes: fc.integer({ min: 1, max: 2 ** 40 }),
  disableXattrs: fc.boolean(),
}).map(({ layer, mediaType, ...rest }) =>
  ztocDescriptor({ ...rest, layer: { digest: layer, mediaType } })
);

Deno.test("any index that is written is read back, and is JSON to others", async () => {
  const indexes = fc.sample(
    fc.record({
      layers: fc.array(descriptor, { minLength: 1, maxLength: 5 }),
      subject: fc.option(
        fc.record({
          mediaType: fc.constant("application/vnd.oci.image.manifest.v1+json"),
          digest: digest as fc.Arbitrary<Digest>,
          size: fc.nat(),
        }),
        { nil: undefined },
      ),
    }),
    { numRuns: 200, seed: 2 },
  ).map(({ layers, subject }) =>
    makeIndex({ layers, ...(subject !== undefined && { subject }) })
  );
  const folder = await Deno.makeTempDir();
  try {
    for (const [i, index] of indexes.entries()) {
      const written = encodeIndex(index);
      assert.deepEqual(decodeIndex(written), index);
      await Deno.writeFile(`${folder}/${i}`, written);
    }
    // Python's reader, and its writer in the form of Go's: sorted maps aside, no white space.
    const { stdout } = await run("python3", [
      "-c",
      `import json, sys
for i in range(${indexes.length}):
    value = json.loads(open(f"${folder}/{i}", "rb").read())
    print(json.dumps([[l["digest"], l["size"], l["annotations"]] for l in value["layers"]]))`,
    ]);
    const read = stdout.trim().split("\n").map((line) => JSON.parse(line));
    for (const [i, { layers }] of indexes.entries()) {
      assert.deepEqual(
        read[i],
        layers.map(({ digest, size, annotations }) => [
          ...[digest, size, annotations],
        ]),
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("any prefetch list that is written is read back", () => {
  const range = fc.tuple(fc.nat(99), fc.nat(99), fc.nat(5)).map(
    ([a, b, priority]) => ({
      start: Math.min(a, b),
      end: Math.max(a, b),
      ...(priority > 0 && { priority }),
    }),
  );
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 50 }), (ranges) => {
      assert.deepEqual(decodePrefetch(encodePrefetch(ranges), 100), ranges);
    }),
  );
});

Deno.test("an index of more layers than any image has is refused", () => {
  const [layer] = fc.sample(descriptor, { numRuns: 1, seed: 3 });
  const many = (count: number) =>
    encodeIndex(makeIndex({ layers: new Array(count).fill(layer) }));
  assert.equal(decodeIndex(many(2000)).layers.length, 2000);
  for (const count of [10_001, 60_000]) {
    assert.throws(() => decodeIndex(many(count)), SociError);
  }
});

Deno.test("a layer of 120 000 files is listed whole", () => {
  const count = 120_000;
  const block = new TarBuilder().file("0000000", "").finish().slice(0, 512);
  const sum = block.reduce((total, byte) => total + byte, 0) -
    block.subarray(148, 156).reduce((total, byte) => total + byte, 0) + 8 * 32;
  const encoder = new TextEncoder();
  const builder = new ZtocBuilder({
    compression: "uncompressed",
    spanSize: 2 ** 22,
  });
  for (let i = 0; i < count; i++) {
    const name = String(i).padStart(7, "0");
    encoder.encodeInto(name, block);
    const digits = [...name].reduce((total, digit) => total + Number(digit), 0);
    encoder.encodeInto(
      `${(sum + digits).toString(8).padStart(6, "0")}\0 `,
      block.subarray(148),
    );
    builder.push(block);
  }
  builder.push(new Uint8Array(1024));
  const { bytes, entryCount } = builder.finishEncoded();
  assert.equal(entryCount, count);
  const { entries } = decodeZtoc(bytes);
  assert.equal(entries.length, count);
  for (let i = 0; i < count; i += 977) {
    assert.equal(Number(new TextDecoder().decode(entries[i]!.name)), i);
    assert.equal(entries[i]!.offset, 512 * (i + 1));
  }
});
