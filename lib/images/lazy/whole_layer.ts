import { decompressZstd, IndexingError } from "../../layers/builder/mod.ts";
import { tarWriters } from "../../layers/whole/mod.ts";
import {
  type Descriptor,
  type Digest,
  DigestStream,
  layerCompression,
} from "../../formats/oci/mod.ts";
import { BUILD_TOOL, type WindowBytes } from "../../formats/ztoc/mod.ts";
import { removeIfThere } from "../../host/files/mod.ts";
import { ImageError } from "../../remote/image/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import type { LineSpeeds } from "./line_speeds.ts";
import { diskRoom } from "./source.ts";
import { WholeDownload } from "./whole_download.ts";
import {
  type Requester,
  REQUESTS_PER_HOST,
  unpackWorkers,
  WholeGates,
  type WholeLimits,
} from "./whole_limits.ts";
import type { WholeProgress } from "./whole_progress.ts";

/** A layer that was downloaded whole, proven, and indexed on this machine. Its files are gone once it is disposed of. */
export interface LocalLayer extends Disposable {
  /** A file with all of its tar. */
  readonly data: string;
  /** A file with the blob, where one was wanted. */
  readonly blob: string;
  readonly ztoc: Uint8Array<ArrayBuffer>;
  /** Whether the ztoc is of the tar alone: spans of it are no ranges of the blob. */
  readonly isOfTar: boolean;
}

/** What to download, and what it must match. */
export interface WholeLayerRequest {
  readonly reference: Reference;
  readonly layer: Descriptor;
  /** The digest of the uncompressed tar, from the image's configuration. */
  readonly diffId: Digest;
  /** Whose turn it is. */
  readonly requester: Requester;
  readonly spanSizeBytes: number;
  readonly windows: WindowBytes;
  /** Whether a file with the blob is wanted, too. */
  readonly isKept: boolean;
  readonly signal: AbortSignal;
}

/**
 * Takes layers whole: each is downloaded by several requests, hashed in order, inflated and indexed in a Worker, and its
 * tar is written once. Blob digest and diff ID are compared before anybody gets it.
 */
export class WholeLayerTaker implements Disposable {
  readonly #client: RegistryClient;
  readonly #folder: string;
  readonly #limits: WholeLimits;
  readonly #gates: WholeGates;
  readonly #progress: WholeProgress;
  readonly #speeds: LineSpeeds;
  #indexers: ReturnType<typeof tarWriters> | null = null;

  /** Starts nothing yet. @param folder for files that are not done, on the disk of the layers. */
  constructor(
    { client, folder, limits, progress, speeds }: {
      readonly client: RegistryClient;
      readonly folder: string;
      readonly limits: WholeLimits;
      readonly progress: WholeProgress;
      readonly speeds: LineSpeeds;
    },
  ) {
    this.#client = client;
    this.#folder = folder;
    this.#limits = limits;
    this.#gates = new WholeGates(limits);
    this.#progress = progress;
    this.#speeds = speeds;
  }

  /**
   * Takes one layer.
   * @throws ImageError if the bytes are not the layer's, cannot be indexed or do not fit on the disk; RegistryError, the
   * signal's reason
   */
  async take(request: WholeLayerRequest): Promise<LocalLayer> {
    const { reference, layer, requester, isKept, signal } = request;
    const kind = layerCompression(layer.mediaType);
    const refused = (why: string, cause?: unknown) =>
      new ImageError(
        reference.toString(),
        layer.digest,
        why,
        cause === undefined ? undefined : { cause },
      );
    if (kind === "none") {
      throw refused(`media type ${layer.mediaType} is no layer`);
    }
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const room = diskRoom(this.#folder);
    // The tar is as large at least, or nearly so.
    if (2 * layer.size > room) {
      throw refused(
        `${
          2 * layer.size
        } bytes or more, and there is room for ${room}; free disk space below --root`,
      );
    }
    const path = `${this.#folder}/layer-${crypto.randomUUID()}`;
    const files = { blob: path, data: `${path}.tar` };
    using kept = new DisposableStack();
    kept.defer(() => {
      for (const file of Object.values(files)) removeIfThere(file);
    });
    using step = this.#progress.begin(requester.image, layer);
    using line = this.#speeds.begin(reference.host);
    using download = new WholeDownload({
      ...{ client: this.#client, repository: reference, blob: layer },
      ...{ path, isKept, requester, signal, gates: this.#gates },
      chunkBytes: this.#limits.chunkBytes,
      atOnce: Math.min(this.#limits.downloadsPerImage, REQUESTS_PER_HOST),
      room: () => diskRoom(this.#folder),
      onBytes: (bytes) => {
        step.came(bytes);
        line.came(bytes);
      },
    });
    let ztoc: Uint8Array<ArrayBuffer>;
    try {
      ztoc = await this.#gates.unpack(
        requester,
        () => this.#index(request, kind, download, files.data, refused),
      );
    } catch (error) {
      download[Symbol.dispose]();
      await download.done.catch(() => {}); // nothing writes from here on
      throw error;
    }
    const whole = kept.move();
    return {
      ...{ ...files, ztoc, isOfTar: kind === "zstd" },
      [Symbol.dispose]: () => whole[Symbol.dispose](),
    };
  }

  async #index(
    { layer, diffId, spanSizeBytes, windows, signal }: WholeLayerRequest,
    kind: "gzip" | "zstd" | "uncompressed",
    download: WholeDownload,
    data: string,
    refused: (why: string, cause?: unknown) => ImageError,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const blobDigest = new DigestStream();
    let bytes = ReadableStream.from(download.pieces());
    if (kind === "zstd") {
      bytes = decompressZstd(bytes.pipeThrough(hashed(blobDigest)));
    }
    this.#indexers ??= tarWriters(unpackWorkers(this.#limits), this.#folder);
    try {
      const indexed = await this.#indexers.index(bytes, {
        compression: kind === "gzip" ? "gzip" : "uncompressed",
        buildTool: BUILD_TOOL,
        ...{ spanSizeBytes, windows, signal, data },
      });
      const digest = kind === "zstd" ? blobDigest.finish() : indexed.digest;
      if (digest !== layer.digest) {
        throw refused(`the registry served ${digest}`);
      }
      if (indexed.diffId !== diffId) {
        throw refused(
          `its tar is ${indexed.diffId}, the configuration says ${diffId}`,
        );
      }
      return indexed.ztoc;
    } catch (cause) {
      if (!(cause instanceof IndexingError)) throw cause;
      throw refused(`cannot be indexed: ${cause.message}`, cause);
    }
  }

  /** Stops the Workers. */
  [Symbol.dispose](): void {
    this.#indexers?.[Symbol.dispose]();
  }
}

type Bytes = Uint8Array<ArrayBuffer>;

function hashed(digest: DigestStream): TransformStream<Bytes, Bytes> {
  return new TransformStream({
    transform(chunk, controller) {
      digest.update(chunk);
      controller.enqueue(chunk);
    },
  });
}
