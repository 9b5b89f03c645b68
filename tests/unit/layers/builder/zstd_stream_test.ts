import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { ZstdError } from "../../../../lib/formats/zstd/mod.ts";
import { decompressZstd } from "../../../../lib/layers/builder/mod.ts";
import { compressible, incompressible } from "../../../support/images/mod.ts";

function streamOf(bytes: Uint8Array, pieceBytes: number) {
  return ReadableStream.from((function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      yield new Uint8Array(bytes.subarray(at, at + pieceBytes));
    }
  })());
}

async function decompress(bytes: Uint8Array, pieceBytes = 65536) {
  const parts: Uint8Array[] = [];
  for await (const part of decompressZstd(streamOf(bytes, pieceBytes))) {
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function skippable(data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + data.length);
  new DataView(frame.buffer).setUint32(0, 0x184d2a5e, true);
  new DataView(frame.buffer).setUint32(4, data.length, true);
  frame.set(data, 8);
  return frame;
}

const frame = fc.record({
  data: fc.oneof(
    fc.uint8Array({ maxLength: 2000 }),
    fc.integer({ min: 0, max: 400_000 }).map((size) => compressible(size)),
    fc.integer({ min: 0, max: 300_000 }).map((size) => incompressible(size)),
    fc.nat(300_000).map((size) => new Uint8Array(size)),
  ),
  checksum: fc.constantFrom(0, 1),
  level: fc.constantFrom(1, 3, 9),
  between: fc.option(fc.uint8Array({ maxLength: 100 }), { nil: undefined }),
});

Deno.test("frames of all kinds come out one after the other, whatever the chunks", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 5 }),
      fc.integer({ min: 1, max: 100_000 }),
      async (frames, pieceBytes) => {
        const blob = Buffer.concat(frames.flatMap((
          { data, checksum, level, between },
        ) => [
          ...between === undefined ? [] : [skippable(between)],
          zstdCompressSync(data, {
            params: {
              [constants.ZSTD_c_checksumFlag]: checksum,
              [constants.ZSTD_c_compressionLevel]: level,
            },
          }),
        ]));
        const expected = Buffer.concat(frames.map(({ data }) => data));
        const found = await decompress(
          blob,
          Math.max(pieceBytes, blob.length >> 8),
        );
        assert.ok(found.equals(expected));
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("what the zstd program writes from a pipe, in single bytes", async () => {
  const data = compressible(50_000);
  const child = new Deno.Command("zstd", {
    args: ["-q", "-c"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(data as Uint8Array<ArrayBuffer>);
  await writer.close();
  const { stdout } = await child.output();
  const twice = Buffer.concat([
    ...[skippable(new Uint8Array(3)), stdout],
    ...[skippable(new Uint8Array(0)), stdout, skippable(stdout)],
  ]);
  assert.ok((await decompress(twice, 1)).equals(Buffer.concat([data, data])));
});

Deno.test("a stream that is cut, or is none, is refused with its place", async () => {
  const blob = new Uint8Array(zstdCompressSync(compressible(3000)));
  for (const length of [1, 3, 4, 5, 20, blob.length - 1]) {
    await assert.rejects(decompress(blob.subarray(0, length)));
  }
  await assert.rejects(
    decompress(Buffer.concat([blob, new Uint8Array(8)])),
    (error) => error instanceof ZstdError && error.offset === blob.length,
  );
  assert.equal((await decompress(new Uint8Array(0))).length, 0);
});
