import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import { constants, createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { type Descriptor, DigestStream } from "../../formats/oci/mod.ts";
import { SociError } from "../../formats/soci/mod.ts";
import { freeBuffer } from "../../host/memory/mod.ts";
import { joinZtoc, windowBytes, ZtocError } from "../../formats/ztoc/mod.ts";
import { turn } from "./turn.ts";

/** The largest window that is decoded. Compressed ztocs are made with 4 MiB at most. */
const MAX_WINDOW_LOG = 23;
/** A head of this size is mostly zeros, and takes some 10 ms at once; in pieces several times that. */
const AT_ONCE_BYTES = 16 * 2 ** 20;
const CHUNK_BYTES = 64 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);
/** Others have a turn after so many bytes: much may come out of little. */
const TURN_BYTES = 2 ** 20;

/** What something decompresses to. */
type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Decompresses a ztoc while its bytes arrive. No more than the ztoc's size is decompressed, and the
 * result has its digest.
 * @param chunks zstd: one frame, or one of the head and one of the windows; left when they are of no use.
 * @param headBytes compressed bytes of the head; null where it comes in one.
 * @throws SociError when they are not the ztoc; what the chunks throw
 */
export async function unpackZtoc(
  chunks: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  headBytes: number | null = null,
): Promise<Uint8Array<ArrayBuffer>> {
  if (headBytes === null) {
    const hash = new DigestStream();
    const bytes = await unpack(chunks, size, (piece) => hash.update(piece));
    if (hash.finish() !== digest) throw notTheZtoc("its digest is another");
    return bytes;
  }
  const { first, rest } = parted(chunks, headBytes);
  const head = await unpack(first, size, () => {});
  await addWindows(head, rest, digest);
  return head;
}

/** The head of a ztoc of that size, out of its compressed bytes. @throws SociError */
export async function unpackHead(
  packed: Uint8Array,
  size: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (size > AT_ONCE_BYTES) return await unpack([packed], size, () => {});
  let head: Uint8Array;
  try {
    head = zstdDecompressSync(packed, {
      ...{ maxOutputLength: size, chunkSize: size },
      params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    });
  } catch (error) {
    throw notTheZtoc("it is longer, or no zstd", { cause: error });
  }
  if (head.length < size) throw notTheZtoc("it is shorter");
  // A small one lies in a buffer that others share, and whoever has the ztoc gives its buffer away.
  return head.buffer.byteLength === size
    ? new Uint8Array(head.buffer as ArrayBuffer)
    : new Uint8Array(head);
}

/**
 * Makes a head the ztoc. @param chunks its windows, compressed.
 * @throws SociError when it is not the ztoc of that digest then; what the chunks throw
 */
export async function addWindows(
  head: Uint8Array<ArrayBuffer>,
  chunks: Chunks,
  digest: Descriptor["digest"],
): Promise<void> {
  try {
    const windows = await unpack(chunks, windowBytes(head), () => {});
    joinZtoc(head, windows);
    freeBuffer(windows.buffer);
  } catch (error) {
    if (!(error instanceof ZtocError)) throw error;
    throw notTheZtoc(error.message, { cause: error });
  }
  const hash = new DigestStream();
  for (let at = 0; at < head.length; at += TURN_BYTES) {
    hash.update(head.subarray(at, at + TURN_BYTES));
    await turn();
  }
  if (hash.finish() !== digest) throw notTheZtoc("its digest is another");
}

/** Exactly so many bytes. @param onPiece told of each as it comes. */
async function unpack(
  chunks: Chunks,
  size: number,
  onPiece: (piece: Uint8Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const decoder = createZstdDecompress({
    chunkSize: CHUNK_BYTES,
    params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
  });
  const input = Readable.from(chunks);
  let failure: { readonly error: unknown } | null = null;
  input.on("error", (error) => {
    failure = { error };
    decoder.destroy(error);
  });
  input.pipe(decoder);
  const bytes = new Uint8Array(size);
  let at = 0;
  let turnAt = TURN_BYTES;
  try {
    for await (const piece of decoder as AsyncIterable<Uint8Array>) {
      if (at + piece.length > size) throw notTheZtoc("it is longer");
      // What was never written to takes no memory, and a head is mostly zeros.
      if (!isZeros(piece)) bytes.set(piece, at);
      onPiece(piece);
      at += piece.length;
      freeIfSole(piece);
      if (at >= turnAt) {
        turnAt = at + TURN_BYTES;
        await turn();
      }
    }
  } catch (error) {
    if (failure !== null) throw (failure as { error: unknown }).error;
    if (error instanceof SociError) throw error;
    throw notTheZtoc("it is no zstd", { cause: error });
  } finally {
    input.destroy();
    decoder.destroy();
  }
  if (at < size) throw notTheZtoc("it is shorter");
  return bytes;
}

/**
 * Returns the memory of a piece that ends its buffer: the decoder has begun another one. (All of them are as much as
 * the ztoc.)
 */
function freeIfSole({ buffer, byteOffset, length }: Uint8Array): void {
  if (length === CHUNK_BYTES && byteOffset + length === buffer.byteLength) {
    freeBuffer(buffer as ArrayBuffer);
  }
}

function isZeros(piece: Uint8Array): boolean {
  return piece.length <= CHUNK_BYTES &&
    ZEROS.subarray(0, piece.length).equals(piece);
}

/** Chunks up to a byte, and those from there on: one after the other. */
function parted(
  chunks: AsyncIterable<Uint8Array>,
  at: number,
): { first: Chunks; rest: Chunks } {
  const all = chunks[Symbol.asyncIterator]();
  let over: Uint8Array = new Uint8Array(0);
  async function* first() {
    for (let left = at; left > 0;) {
      const { done, value } = await all.next();
      if (done) return;
      const piece = value.subarray(0, left);
      over = value.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }
  async function* rest() {
    if (over.length > 0) yield over;
    yield* { [Symbol.asyncIterator]: () => all };
  }
  return { first: first(), rest: rest() };
}

function notTheZtoc(why: string, options?: ErrorOptions): SociError {
  return new SociError(
    "digest",
    `what the companion holds is not the ztoc: ${why}`,
    options,
  );
}
