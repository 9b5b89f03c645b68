import { DigestStream, sha256 } from "../../formats/oci/mod.ts";
import { ContentError } from "./errors.ts";
import { type Content, type ContentId, MAX_BYTES } from "./place.ts";

/** Throws when content is too large for `bytes`. @throws ContentError `too-large` */
export function checkWhole(place: string, { digest, size }: ContentId): void {
  if (size <= MAX_BYTES) return;
  throw new ContentError("too-large", place, digest, `${size} bytes`);
}

/** Throws unless the bytes are those of the descriptor. @throws ContentError */
export function checkBytes(
  place: string,
  { digest, size }: ContentId,
  bytes: Uint8Array,
): void {
  if (bytes.length !== size) {
    throw wrongSize(place, { digest, size }, bytes.length);
  }
  const found = sha256(bytes);
  if (found !== digest) {
    throw new ContentError("integrity", place, digest, `digest is ${found}`);
  }
}

function wrongSize(
  place: string,
  { digest, size }: Pick<ContentId, "digest" | "size">,
  found: number,
): ContentError {
  return new ContentError(
    "integrity",
    place,
    digest,
    `${found} bytes instead of ${size}`,
  );
}

/**
 * The pieces of some content; the last one is yielded only after the digest of all is checked.
 * @throws ContentError `integrity`
 */
export async function* checkedPieces(
  place: string,
  content: ContentId,
  source: Content,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  if (source instanceof Uint8Array) {
    checkBytes(place, content, source);
    yield source;
    return;
  }
  const digest = new DigestStream();
  let size = 0;
  for await (const piece of await source()) {
    signal?.throwIfAborted();
    size += piece.length;
    if (size > content.size) throw wrongSize(place, content, size);
    digest.update(piece);
    // Consumers commit only after the end, so earlier pieces may be yielded before the digest is known.
    yield piece;
  }
  signal?.throwIfAborted();
  if (size !== content.size) throw wrongSize(place, content, size);
  const found = digest.finish();
  if (found !== content.digest) {
    throw new ContentError(
      "integrity",
      place,
      content.digest,
      `digest is ${found}`,
    );
  }
}

/** Reads a whole stream of known size. @throws ContentError */
export async function collect(
  place: string,
  content: ContentId,
  stream: ReadableStream<Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = new Uint8Array(content.size);
  let at = 0;
  for await (const piece of stream) {
    if (at + piece.length > content.size) {
      throw wrongSize(place, content, at + piece.length);
    }
    whole.set(piece, at);
    at += piece.length;
  }
  checkBytes(place, content, at === whole.length ? whole : whole.slice(0, at));
  return whole;
}
