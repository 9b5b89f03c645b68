import { setImmediate } from "node:timers/promises";
import type { ArtifactSink } from "../../remote/content/mod.ts";
import type { Descriptor, Digest } from "../../formats/oci/mod.ts";
import { ztocDescriptor, ztocMediaType } from "../../formats/soci/mod.ts";
import {
  decodeCheckpoints,
  decodeTarSpans,
  openZtoc,
} from "../../formats/ztoc/mod.ts";
import { type MadeIndex, putIndexV1 } from "./build.ts";
import { putCompressed } from "./companion.ts";

/** A ztoc of more bytes is hashed and sent in pieces of so many: others have turns of this thread meanwhile. */
const PIECE_BYTES = 2 ** 20;

/** A ztoc that was made of a layer elsewhere. */
export interface MadeZtoc {
  /** The layer it is of, as the image's manifest names it. */
  readonly layer: Descriptor;
  /** Of the ztoc. */
  readonly digest: Digest;
  /** The ztoc itself. */
  readonly read: () => Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Puts a v1 index of ztocs that exist, with its companion, beside its image, as `build-index` does: what is named comes
 * before what names it.
 * @param beforeIndex called when everything else is there; false: somebody else was first, and no index is put.
 * @returns null where none was put.
 * @throws SociError when there are no ztocs; ZtocError, ContentError, the sink's errors, and what reading a ztoc throws
 */
export async function putMadeIndex(
  image: Descriptor,
  made: readonly MadeZtoc[],
  { sink, beforeIndex, signal }: {
    readonly sink: ArtifactSink;
    readonly beforeIndex: () => Promise<boolean>;
    readonly signal: AbortSignal;
  },
): Promise<MadeIndex & { readonly companion: Digest | null } | null> {
  const ztocs: Descriptor[] = [];
  const compressed: Descriptor[] = [];
  for (const { layer, digest, read } of made) {
    const bytes = await read();
    const { length: size } = bytes;
    await sink.put(
      { mediaType: ztocMediaType(layer), digest, size },
      size > PIECE_BYTES ? () => Promise.resolve(piecesOf(bytes)) : bytes,
      { signal },
    );
    compressed.push(
      await putCompressed({ digest }, () => Promise.resolve(bytes), {
        sink,
        signal,
      }),
    );
    const spanSizeBytes = spanSizeIn(bytes);
    ztocs.push(ztocDescriptor({ digest, size, layer, spanSizeBytes }));
  }
  if (!await beforeIndex()) return null;
  return await putIndexV1(
    sink,
    { image: { descriptor: image }, ztocs, prefetch: [], compressed },
    signal,
  );
}

function piecesOf(
  bytes: Uint8Array<ArrayBuffer>,
): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      await setImmediate();
      controller.enqueue(bytes.subarray(at, at += PIECE_BYTES));
      if (at >= bytes.length) controller.close();
    },
  }, { highWaterMark: 0 });
}

/** Uncompressed bytes of a span, as they were asked for when the ztoc was made. */
function spanSizeIn(ztoc: Uint8Array): number {
  const { compression, checkpoints } = openZtoc(ztoc);
  return compression === "gzip"
    ? decodeCheckpoints(checkpoints).spanSize
    : decodeTarSpans(checkpoints).spanSize;
}
