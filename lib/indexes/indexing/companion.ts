import { Buffer } from "node:buffer";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import {
  type Descriptor,
  type Digest,
  MEDIA,
  sha256,
} from "../../formats/oci/mod.ts";
import {
  compressedDescriptor,
  decodeCompanion,
  decodeIndex,
  encodeCompanion,
  isZtoc,
  type SociIndex,
} from "../../formats/soci/mod.ts";
import {
  splitZtoc,
  ZtocError,
  type ZtocParts,
} from "../../formats/ztoc/mod.ts";
import type { ArtifactSink, LayerSource } from "../../remote/content/mod.ts";

/** 19 takes fifty times as long and saves a tenth more: windows of a tar are hard to compress. */
const LEVEL = 9;
/** Windows below this are not worth a request of their own, as they are and compressed. */
const LEAST_WINDOW_BYTES = 64 * 1024;
const LEAST_PART_BYTES = 16 * 1024;
/** The largest window, so that readers need not hold more. */
const WINDOW_LOG = 22;

const compress = promisify(zstdCompress);

/** Puts a ztoc compressed. @param read the ztoc itself; not called where it is known compressed. */
export async function putCompressed(
  ztoc: { readonly digest: Digest; readonly compressed?: Descriptor },
  read: () => Promise<Uint8Array>,
  { sink, signal }: {
    readonly sink: ArtifactSink;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Descriptor> {
  if (ztoc.compressed !== undefined) return ztoc.compressed;
  const { bytes, head } = await compressed(await read());
  const descriptor = compressedDescriptor(ztoc.digest, {
    ...{ digest: sha256(bytes), size: bytes.length, bytes },
    ...(head !== null &&
      { head: { digest: sha256(head), size: head.length } }),
  });
  await sink.put(descriptor, bytes, { signal });
  return descriptor;
}

/** A ztoc in two parts; in one, where the windows are too small to be left for later. */
async function compressed(
  ztoc: Uint8Array,
): Promise<{ bytes: Uint8Array; head: Uint8Array | null }> {
  const parts = partsOf(ztoc);
  if (parts !== null && parts.windows.length >= LEAST_WINDOW_BYTES) {
    const head = await zstd(parts.head);
    const windows = await zstd(parts.windows);
    if (windows.length >= LEAST_PART_BYTES) {
      return { bytes: new Uint8Array(Buffer.concat([head, windows])), head };
    }
  }
  return { bytes: await zstd(ztoc), head: null };
}

/** null where it is none that is served: it is not judged here. */
function partsOf(ztoc: Uint8Array): ZtocParts | null {
  try {
    return splitZtoc(ztoc);
  } catch (error) {
    if (!(error instanceof ZtocError)) throw error;
    return null;
  }
}

async function zstd(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await compress(bytes, {
      params: {
        [constants.ZSTD_c_compressionLevel]: LEVEL,
        [constants.ZSTD_c_windowLog]: WINDOW_LOG,
      },
    }),
  );
}

/** A companion with its bytes. */
export interface MadeCompanion {
  /** The manifest; its digest is the companion's. */
  readonly bytes: Uint8Array;
  /** What others name it by. */
  readonly descriptor: Descriptor;
}

/**
 * The companion of built ztocs; null where none was asked for.
 * @param index the one that it is found beside; null where an index is to name it.
 */
export function companionOf(
  { image, compressed }: {
    readonly image: { readonly descriptor: Descriptor };
    readonly compressed: readonly Descriptor[];
  },
  index: Digest | null,
): MadeCompanion | null {
  if (compressed.length === 0) return null;
  // A layer that comes twice has one ztoc.
  const unique = new Map(compressed.map((one) => [one.digest, one]));
  const bytes = encodeCompanion({
    ztocs: [...unique.values()],
    ...(index !== null && { subject: image.descriptor, index }),
  });
  const descriptor = {
    mediaType: MEDIA.ociManifest,
    digest: sha256(bytes),
    size: bytes.length,
  };
  return { bytes, descriptor };
}

/**
 * Makes the companion of an index v1 out of the ztocs that it names, and puts it beside it.
 * @param index which is at the sink, and at the source with its ztocs.
 * @param image the manifest that it is of.
 * @returns null where there is nothing to compress.
 * @throws SociError, ContentError
 */
export async function putCompanionOf(
  index: Descriptor,
  image: Descriptor,
  { source, sink, signal }: {
    readonly source: LayerSource;
    readonly sink: ArtifactSink;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Digest | null> {
  const { layers } = decodeIndex(await source.bytes(index, { signal }));
  const compressed: Descriptor[] = [];
  for (const ztoc of layers.filter(isZtoc)) {
    const read = () => source.bytes(ztoc, { signal });
    const { digest } = ztoc;
    compressed.push(await putCompressed({ digest }, read, { sink, signal }));
  }
  const made = companionOf(
    { image: { descriptor: image }, compressed },
    index.digest,
  );
  if (made !== null) await sink.put(made.descriptor, made.bytes, { signal });
  return made?.descriptor.digest ?? null;
}

/** The compressed ztocs that a companion names, by ztoc; none of one that cannot be used. */
export function compressedIn(
  companion: Uint8Array | null,
  of: { readonly index: SociIndex; readonly image: Digest },
): ReadonlyMap<Digest, Descriptor> {
  const found = new Map<Digest, Descriptor>();
  if (companion === null) return found;
  try {
    for (const [ztoc, one] of decodeCompanion(companion, of)) {
      found.set(ztoc, compressedDescriptor(ztoc, one));
    }
  } catch {
    // It is made anew.
  }
  return found;
}
