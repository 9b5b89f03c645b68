import { Readable } from "node:stream";
import { setImmediate } from "node:timers";
import { constants, createZstdDecompress } from "node:zlib";
import { type Descriptor, DigestStream } from "../../formats/oci/mod.ts";
import { SociError } from "../../formats/soci/mod.ts";

/** The largest window that is decoded. Compressed ztocs are made with 4 MiB at most. */
const MAX_WINDOW_LOG = 23;
const CHUNK_BYTES = 64 * 1024;
/** Others have a turn after so many bytes: much may come out of little. */
const TURN_BYTES = 2 ** 20;

/**
 * Decompresses a ztoc while its bytes arrive. No more than the ztoc's size is decompressed, and the
 * result has its digest.
 * @param chunks zstd, one frame; left when they are of no use.
 * @throws SociError when they are not the ztoc; what the chunks throw
 */
export async function unpackZtoc(
  chunks: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
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
  const hash = new DigestStream();
  let at = 0;
  let turnAt = TURN_BYTES;
  try {
    for await (const piece of decoder as AsyncIterable<Uint8Array>) {
      if (at + piece.length > size) throw notTheZtoc("it is longer");
      bytes.set(piece, at);
      hash.update(piece);
      at += piece.length;
      if (at >= turnAt) {
        turnAt = at + TURN_BYTES;
        await new Promise<void>((resolve) => setImmediate(resolve));
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
  if (hash.finish() !== digest) throw notTheZtoc("its digest is another");
  return bytes;
}

function notTheZtoc(why: string, options?: ErrorOptions): SociError {
  return new SociError(
    "digest",
    `what the companion holds is not the ztoc: ${why}`,
    options,
  );
}
