/** Frames of zstd that anybody may have made: bounded, whatever their headers say. */
import assert from "node:assert/strict";
import { constants, zstdCompressSync } from "node:zlib";
import {
  decodeSpan,
  decodeToEnd,
  MAX_FRAMES_OF_SPAN,
  readFrameHeader,
  ZstdError,
  type ZstdErrorCode,
} from "../../../../lib/formats/zstd/mod.ts";
import {
  compressible,
  incompressible,
  joinBytes,
} from "../../../support/images/mod.ts";

const MIB = 2 ** 20;
const bytes = (...values: number[]) => Uint8Array.from(values);
const MAGIC = bytes(0x28, 0xb5, 0x2f, 0xfd);
const skippable = (length: number, said = length, nibble = 0) =>
  joinBytes([
    bytes(0x50 + nibble, 0x2a, 0x4d, 0x18),
    new Uint8Array(Uint32Array.of(said).buffer),
    new Uint8Array(length),
  ]);
/** A frame of one raw block, with a header of one's own. */
const frame = (header: Uint8Array, content: Uint8Array) =>
  joinBytes([
    MAGIC,
    header,
    bytes(
      1 | (content.length << 3) & 0xff,
      (content.length >> 5) & 0xff,
      (content.length >> 13) & 0xff,
    ),
    content,
  ]);
const rejects = (code: ZstdErrorCode, decode: () => unknown) =>
  assert.throws(decode, (error) => {
    assert.ok(error instanceof ZstdError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });

Deno.test("a span of frames gives their contents, whatever is between them", () => {
  const parts = [
    compressible(100_000),
    new Uint8Array(0),
    incompressible(300_000),
    bytes(7),
  ];
  const span = joinBytes([
    skippable(12),
    ...parts.flatMap((part, i) => [
      zstdCompressSync(part, {
        params: { [constants.ZSTD_c_checksumFlag]: i % 2 },
      }),
      skippable(i * 1000, i * 1000, 15),
    ]),
  ]);
  const whole = joinBytes(parts);
  assert.deepEqual(decodeSpan(span, whole.length, MIB), whole);
  assert.deepEqual(decodeSpan(span, 5, MIB), whole.subarray(0, 5));
  assert.deepEqual(decodeToEnd(span, 2 * MIB, MIB), whole);
  rejects("damaged", () => decodeSpan(span, whole.length + 1, MIB));
});

Deno.test("frames that lie, are damaged or too large are refused", () => {
  const content = compressible(50_000);
  const good = zstdCompressSync(content);
  const size = content.length;
  for (let at = 0; at < good.length; at += 97) {
    rejects("damaged", () => decodeSpan(good.subarray(0, at), size, MIB));
  }
  // The content is 5 bytes, and the header says 4, or 6, or terabytes.
  const five = bytes(1, 2, 3, 4, 5);
  assert.deepEqual(decodeSpan(frame(bytes(0x20, 5), five), 5, MIB), five);
  rejects("damaged", () => decodeSpan(frame(bytes(0x20, 4), five), 5, MIB));
  rejects("damaged", () => decodeSpan(frame(bytes(0x20, 6), five), 5, MIB));
  rejects(
    "not-seekable",
    () => decodeSpan(frame(bytes(0xe0, 0, 0, 0, 0, 0, 4, 0, 0), five), 5, MIB),
  );
  rejects(
    "too-large",
    () => decodeSpan(frame(bytes(0xe0, ...Array(8).fill(255)), five), 5, MIB),
  );
  // Windows: 128 MiB are taken, more is not.
  assert.deepEqual(decodeSpan(frame(bytes(0, 17 << 3), five), 5, MIB), five);
  rejects(
    "too-large",
    () => decodeSpan(frame(bytes(0, 17 << 3 | 1), five), 5, MIB),
  );
  rejects("too-large", () => decodeSpan(frame(bytes(0, 0xff), five), 5, MIB));
  rejects(
    "not-seekable",
    () => decodeSpan(frame(bytes(0x21, 9, 5), five), 5, MIB),
  );
  rejects("damaged", () => decodeSpan(frame(bytes(0x28, 5), five), 5, MIB));
  // Much from little.
  rejects(
    "not-seekable",
    () => decodeSpan(zstdCompressSync(new Uint8Array(2 * MIB)), 5, MIB),
  );
  rejects(
    "not-seekable",
    () => decodeSpan(zstdCompressSync(incompressible(2 * MIB)), 5, MIB),
  );
  rejects("damaged", () => decodeSpan(skippable(10, 2 ** 32 - 1), 1, MIB));
  rejects("damaged", () => decodeSpan(compressible(1000), 1, MIB));
  rejects("damaged", () => decodeSpan(new Uint8Array(0), 1, MIB));
});

Deno.test("frames that hold nothing are bounded by their number", () => {
  const empty = frame(bytes(0x20, 0), new Uint8Array(0));
  const many = (count: number) =>
    joinBytes([
      ...Array.from({ length: count }, () => empty),
      zstdCompressSync(bytes(1)),
    ]);
  assert.deepEqual(decodeSpan(many(1000), 1, MIB), bytes(1));
  rejects("too-large", () => decodeSpan(many(MAX_FRAMES_OF_SPAN), 1, MIB));
});

Deno.test("a frame's header is read in every form", () => {
  const read = (...header: number[]) =>
    readFrameHeader(joinBytes([MAGIC, bytes(...header, 0, 0, 0)]));
  assert.deepEqual(read(0x00, 0x00), {
    contentBytes: null,
    windowBytes: 1024,
    hasDictionary: false,
  });
  assert.deepEqual(read(0x03, 0x58, 1, 0, 0, 0), {
    contentBytes: null,
    windowBytes: 2 * MIB,
    hasDictionary: true,
  });
  assert.deepEqual(read(0x60, 1, 1), {
    contentBytes: 513,
    windowBytes: 513,
    hasDictionary: false,
  });
  assert.equal(readFrameHeader(MAGIC), null);
  assert.equal(readFrameHeader(skippable(30)), null);
});
