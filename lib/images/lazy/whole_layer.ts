import {
  decompressZstd,
  IndexingError,
  LayerIndexer,
} from "../../layers/builder/mod.ts";
import {
  type Descriptor,
  type Digest,
  DigestStream,
  layerCompression,
} from "../../formats/oci/mod.ts";
import { writeAll } from "../../host/files/mod.ts";
import { ImageError } from "../../remote/image/mod.ts";
import type { RegistryClient, Repository } from "../../remote/registry/mod.ts";

/** A layer that was downloaded whole, verified, and indexed on this machine. */
export interface LocalLayer {
  /** The file that the ztoc describes: the blob, or its tar if the blob is zstd. */
  readonly path: string;
  readonly ztoc: Uint8Array<ArrayBuffer>;
}

/** What to download, and what it must match. */
export interface WholeLayerRequest {
  readonly client: RegistryClient;
  readonly repository: Repository;
  readonly image: string;
  readonly layer: Descriptor;
  /** The digest of the uncompressed tar, from the image's configuration. */
  readonly diffId: Digest;
  /** Where the file goes; an existing file is replaced. */
  readonly path: string;
  readonly spanSizeBytes: number;
  /** The most bytes the file may have; a larger layer is refused. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Fetches a layer that has no ztoc. Downloads the blob to `path` and indexes it on the way. Checks
 * blob digest and diff ID before anything of it is used.
 * @throws ImageError if the bytes are not the layer's or cannot be indexed; RegistryError
 */
export async function fetchWholeLayer(
  request: WholeLayerRequest,
): Promise<LocalLayer> {
  const { client, repository, layer, path, signal } = request;
  const kind = layerCompression(layer.mediaType);
  if (kind === "none") {
    throw new ImageError(
      request.image,
      layer.digest,
      `media type ${layer.mediaType} is no layer`,
    );
  }
  const tooLarge = (bytes: number) =>
    new ImageError(
      request.image,
      layer.digest,
      `${bytes} bytes or more, and there is room for ${request.maxBytes}`,
    );
  if (layer.size > request.maxBytes) throw tooLarge(layer.size);
  const received = await client.blob(repository, layer, { signal });
  const blobDigest = new DigestStream();
  let bytes: ReadableStream<Uint8Array<ArrayBuffer>> = received.pipeThrough(
    tap((chunk) => void blobDigest.update(chunk)),
  );
  if (kind === "zstd") bytes = decompressZstd(bytes);
  using file = await Deno.open(path, {
    write: true,
    create: true,
    truncate: true,
    mode: 0o600,
  });
  let savedBytes = 0;
  const saved = bytes.pipeThrough(tap((chunk) => {
    // zstd can expand to tens of thousands of times its size.
    savedBytes += chunk.length;
    if (savedBytes > request.maxBytes) throw tooLarge(savedBytes);
    return writeAll(file, chunk);
  }));
  using indexer = new LayerIndexer();
  try {
    const indexed = await indexer.index(saved, {
      compression: kind === "gzip" ? "gzip" : "uncompressed",
      spanSizeBytes: request.spanSizeBytes,
      buildTool: "soci-deno",
      signal,
    });
    const digest = blobDigest.finish();
    if (digest !== layer.digest) {
      throw new ImageError(
        request.image,
        layer.digest,
        `the registry served ${digest}`,
      );
    }
    if (indexed.diffId !== request.diffId) {
      throw new ImageError(
        request.image,
        layer.digest,
        `its tar is ${indexed.diffId}, the configuration says ${request.diffId}`,
      );
    }
    return { path, ztoc: indexed.ztoc };
  } catch (cause) {
    if (cause instanceof IndexingError) {
      throw new ImageError(
        request.image,
        layer.digest,
        `cannot be indexed: ${cause.message}`,
        { cause },
      );
    }
    throw cause;
  }
}

type Bytes = Uint8Array<ArrayBuffer>;

function tap(
  see: (chunk: Bytes) => void | Promise<void>,
): TransformStream<Bytes, Bytes> {
  return new TransformStream({
    async transform(chunk, controller) {
      await see(chunk);
      controller.enqueue(chunk);
    },
  });
}
