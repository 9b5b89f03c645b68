import { availableParallelism } from "node:os";
import type { Descriptor } from "../../formats/oci/mod.ts";
import { type IndexedImage, ztocOf } from "../../remote/image/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { IndexedImages } from "./images.ts";
import { type KnownSpans, knownSpans } from "./whole_spans.ts";
import type { ZtocFetcher } from "./ztocs.ts";

const log = logger("images");
/** A smaller layer is not worth asking for its ztoc. */
const LEAST_BYTES = 64 * 2 ** 20;
/** A larger ztoc takes more memory than all else that takes a layer: there are three copies of it for a while. */
const MAX_ZTOC_BYTES = 24 * 2 ** 20;

/** Where indexes and ztocs come from. */
interface Indexes {
  readonly images: IndexedImages;
  readonly ztocs: ZtocFetcher;
}

/** Asks what the index of an image that is taken whole knows of a layer; null where that is not worth it. */
export function mayBeKnown(
  from: Indexes,
  image: IndexedImage,
  layer: Descriptor,
  signal: AbortSignal,
): (() => Promise<KnownSpans | null>) | null {
  return layer.size < LEAST_BYTES || availableParallelism() < 2
    ? null
    : () => knownOf(from, image, layer, signal);
}

/** Null: nothing is known. @throws the signal's reason */
async function knownOf(
  { images, ztocs }: Indexes,
  image: IndexedImage,
  layer: Descriptor,
  signal: AbortSignal,
): Promise<KnownSpans | null> {
  const indexed = await images.withIndex(image);
  if (indexed === null) return null;
  const ztoc = ztocOf(indexed, layer.digest);
  if (ztoc === null || ztoc.size > MAX_ZTOC_BYTES) return null;
  try {
    const until = AbortSignal.any([signal, images.late()]);
    const bytes = await ztocs.fetch({ image: indexed, ztoc }, until);
    return knownSpans(bytes, layer);
  } catch (error) {
    signal.throwIfAborted();
    log.warn("ztoc of a layer that is taken whole is of no use", {
      image: image.reference.toString(),
      layer: layer.digest,
      error: String(error),
    });
    return null;
  }
}
