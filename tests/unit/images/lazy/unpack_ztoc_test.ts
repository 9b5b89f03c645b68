/** Compressed ztocs: what comes out is right, and its buffer is nobody else's. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import {
  unpackHead,
  unpackZtoc,
} from "../../../../lib/images/lazy/unpack_ztoc.ts";
import { sha256 } from "../../../../lib/formats/oci/mod.ts";
import { freeBuffer } from "../../../../lib/host/memory/mod.ts";
import { incompressible } from "../../../support/images/mod.ts";

/** Names here and there between zeros, as a head is. */
function sparse(size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 200_003) {
    bytes.set(incompressible(Math.min(70_000, size - at), at), at);
  }
  return bytes;
}

/** Pieces whose ends are anywhere. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_021) {
    yield await Promise.resolve(bytes.subarray(at, at + 50_021));
  }
}

Deno.test("who has a head can give its buffer away, however small it is", async () => {
  for (const size of [64, 1000, 4000, 30_000, 70_000, 1_000_000]) {
    const bytes = incompressible(size, size);
    const head = await unpackHead(zstdCompressSync(bytes), size);
    // Allocated out of the same pool, if the head was.
    const neighbours = [1, 10, 100].map((n) => Buffer.from("x".repeat(n)));
    assert.deepEqual(head, bytes);
    assert.equal(head.buffer.byteLength, size);
    freeBuffer(head.buffer);
    assert.deepEqual(
      neighbours.map(String),
      [1, 10, 100].map((n) => "x".repeat(n)),
    );
  }
});

Deno.test("a large head is right although its pieces were freed", async () => {
  const bytes = sparse(16 * 2 ** 20 + 12_345); // more than is decompressed at once
  const head = await unpackHead(zstdCompressSync(bytes), bytes.length);
  assert.equal(Buffer.compare(head, bytes), 0);
  assert.equal(head.buffer.byteLength, bytes.length);
});

Deno.test("a ztoc that comes in pieces is right although what it was decoded to was freed", async () => {
  for (
    const bytes of [
      incompressible(3_000_000, 1),
      sparse(2_500_001),
      new Uint8Array(65_536 * 4),
    ]
  ) {
    const packed = zstdCompressSync(bytes);
    const unpacked = await unpackZtoc(inPieces(packed), {
      digest: sha256(bytes),
      size: bytes.length,
    });
    assert.equal(Buffer.compare(unpacked, bytes), 0);
    assert.equal(
      Buffer.compare(packed, zstdCompressSync(bytes)),
      0,
      "what came is as it was",
    );
  }
});
