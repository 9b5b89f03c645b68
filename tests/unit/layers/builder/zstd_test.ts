import assert from "node:assert/strict";
import { constants, zstdCompressSync } from "node:zlib";
import { MAX_FRAME_HEADER_BYTES } from "../../../../lib/formats/zstd/mod.ts";
import {
  ZSTD_TAIL_BYTES,
  zstdFacts,
  zstdReason,
} from "../../../../lib/layers/builder/mod.ts";

const MIB = 2 ** 20;
const facts = (blob: Uint8Array, annotations = {}) =>
  zstdFacts(
    blob.subarray(0, MAX_FRAME_HEADER_BYTES),
    blob.subarray(-ZSTD_TAIL_BYTES),
    annotations,
  );

Deno.test("a frame's header tells how much its content is, in every width", () => {
  for (const size of [0, 200, 255, 256, 1000, 65791, 65792, 3_000_000]) {
    const blob = zstdCompressSync(
      new Uint8Array(size),
      {
        pledgedSrcSize: size,
        params: { [constants.ZSTD_c_contentSizeFlag]: 1 },
      } as Parameters<typeof zstdCompressSync>[1],
    );
    const { frames, tarSizeBytes } = facts(blob);
    assert.equal(frames, null);
    // Where the platform writes no size there is none to read.
    assert.ok(tarSizeBytes === size || tarSizeBytes === null, `${size}`);
  }
  const header = (descriptor: number, ...rest: number[]) =>
    Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, descriptor, ...rest);
  const none = new Uint8Array(0);
  const read = (head: Uint8Array) => zstdFacts(head, none).tarSizeBytes;
  assert.equal(read(header(0x20, 77)), 77);
  assert.equal(read(header(0x60, 1, 1)), 256 + 257);
  assert.equal(read(header(0x80, 0x50, 1, 2, 3, 4)), 0x04030201);
  assert.equal(
    read(header(0xe3, 9, 9, 9, 9, 5, 0, 0, 0, 1, 0, 0, 0)),
    2 ** 32 + 5,
  );
  assert.equal(read(header(0xe0, ...new Array(8).fill(255))), null);
  assert.equal(read(header(0x00, 0x50)), null);
  assert.equal(read(header(0xc0, 0x50, 1, 2)), null, "cut short");
  assert.equal(read(none), null);
});

Deno.test("a seek table at the end tells the number of frames", () => {
  const tail = Uint8Array.of(7, 0, 0, 0, 0x80, 0xb1, 0xea, 0x92, 0x8f);
  assert.equal(zstdFacts(new Uint8Array(18), tail).frames, 7);
});

Deno.test("the reason says what would make the layer lazy", () => {
  const say = (
    frames: number | null,
    tarSizeBytes: number | null,
    annotations = {},
  ) => zstdReason({ frames, tarSizeBytes }, annotations, 4 * MIB);
  assert.match(say(null, null), /not seekable.*pulled whole/);
  assert.match(say(null, 100 * MIB), /104\.9 MB of tar.* 25 spans/);
  assert.match(say(7, null), /7 frames.*pulled whole.*build-index/);
  const chunked = {
    "io.github.containers.zstd-chunked.manifest-position": "1:2:3:1",
  };
  assert.match(say(null, null, chunked), /many frames/);
});
