import { decompressZstd, IndexingError } from "../../layers/builder/mod.ts";
import { tarWriters } from "../../layers/whole/mod.ts";
import type { InflatePool } from "../../layers/spans/mod.ts";
import {
  type Descriptor,
  type Digest,
  DigestStream,
  layerCompression,
} from "../../formats/oci/mod.ts";
import { BUILD_TOOL, type WindowBytes } from "../../formats/ztoc/mod.ts";
import { removeIfThere } from "../../host/files/mod.ts";
import { closeFd, O, openFd, truncateFd } from "../../host/os/mod.ts";
import { ImageError } from "../../remote/image/mod.ts";
import type { Reference, RegistryClient } from "../../remote/registry/mod.ts";
import type { LineSpeeds } from "./line_speeds.ts";
import { logger } from "../../telemetry/mod.ts";
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
import {
  CheckpointsError,
  isOfZtoc,
  type KnownSpans,
  tarBySpans,
} from "./whole_spans.ts";

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
  /** Asks for what is known of its spans, so that all cores can inflate it; null: it is not asked, or nothing is. */
  readonly known: (() => Promise<KnownSpans | null>) | null;
  readonly signal: AbortSignal;
}

const log = logger("images");

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
  readonly #pool: InflatePool;
  #indexers: ReturnType<typeof tarWriters> | null = null;
  /** Whether a layer is inflated by its spans. */
  #onAllCores = false;

  /** Starts nothing yet. @param folder for files that are not done, on the disk of the layers. */
  constructor(
    { client, folder, limits, progress, speeds, pool }: {
      readonly client: RegistryClient;
      readonly folder: string;
      readonly limits: WholeLimits;
      readonly progress: WholeProgress;
      readonly speeds: LineSpeeds;
      /** Inflates spans. */
      readonly pool: InflatePool;
    },
  ) {
    this.#client = client;
    this.#folder = folder;
    this.#limits = limits;
    this.#gates = new WholeGates(limits);
    this.#progress = progress;
    this.#speeds = speeds;
    this.#pool = pool;
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
      ...{ path, requester, signal, gates: this.#gates },
      // What is inflated by spans of no use is read again.
      isKept: isKept || request.known !== null,
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
    request: WholeLayerRequest,
    kind: "gzip" | "zstd" | "uncompressed",
    download: WholeDownload,
    data: string,
    refused: (why: string, cause?: unknown) => ImageError,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { layer, diffId, spanSizeBytes, windows, signal } = request;
    if (kind === "gzip" && request.known !== null && !this.#onAllCores) {
      const asked = request.known();
      const ztoc = await this.#bySpans(request, asked, download, data);
      if (ztoc !== null) return ztoc;
    }
    const blobDigest = new DigestStream();
    let bytes = ReadableStream.from(download.pieces());
    if (kind === "zstd") {
      bytes = decompressZstd(bytes.pipeThrough(hashed(blobDigest)));
    }
    try {
      const indexed = await this.#writers.index(bytes, {
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

  /**
   * Inflates a layer on all cores, if its spans are known. No other layer is meanwhile: it would find no core, and take
   * memory.
   * @returns null where nothing is known, or it was of no use; the file is of none then, either.
   */
  async #bySpans(
    request: WholeLayerRequest,
    known: Promise<KnownSpans | null>,
    download: WholeDownload,
    data: string,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    this.#onAllCores = true;
    try {
      const spans = await known;
      return spans === null
        ? null
        : await this.#inflateSpans(request, spans, download, data);
    } finally {
      this.#onAllCores = false;
    }
  }

  /** Nothing of the ztoc is believed: blob digest and diff ID are compared as ever. */
  async #inflateSpans(
    { reference, layer, diffId, spanSizeBytes, requester, signal }:
      WholeLayerRequest,
    spans: KnownSpans,
    download: WholeDownload,
    data: string,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const blobDigest = new DigestStream();
    const fd = openFd(data, O.RDWR | O.CREAT);
    const tar = tarBySpans({
      ...{ spans, fd, sizeBytes: layer.size, share: requester.image },
      blob: alsoHashed(download.pieces(), blobDigest),
      pool: this.#pool,
      look: () => {
        if (diskRoom(this.#folder) > 0) return;
        throw new CheckpointsError("the disk is nearly full");
      },
    });
    try {
      const indexed = await this.#writers.index(ReadableStream.from(tar), {
        ...{ compression: "gzip", buildTool: BUILD_TOOL },
        ...{ spanSizeBytes, signal, known: spans.ztoc },
      });
      if (blobDigest.finish() === layer.digest && indexed.diffId === diffId) {
        truncateFd(fd, indexed.uncompressedSizeBytes);
        return indexed.ztoc;
      }
      throw new CheckpointsError(`they give ${indexed.diffId}`);
    } catch (error) {
      if (!isOfZtoc(error) && !(error instanceof IndexingError)) throw error;
      log.warn("checkpoints of an index are of no use, a layer takes longer", {
        image: reference.toString(),
        layer: layer.digest,
        error: String(error),
      });
      return null;
    } finally {
      await tar.return(undefined).catch(() => {}); // nothing is written from here on
      closeFd(fd);
    }
  }

  get #writers(): ReturnType<typeof tarWriters> {
    return this.#indexers ??= tarWriters(
      unpackWorkers(this.#limits),
      this.#folder,
    );
  }

  /** Stops the Workers. */
  [Symbol.dispose](): void {
    this.#indexers?.[Symbol.dispose]();
  }
}

type Bytes = Uint8Array<ArrayBuffer>;

async function* alsoHashed(
  pieces: AsyncIterable<Bytes>,
  digest: DigestStream,
): AsyncGenerator<Bytes, void, void> {
  for await (const piece of pieces) {
    digest.update(piece);
    yield piece;
  }
}

function hashed(digest: DigestStream): TransformStream<Bytes, Bytes> {
  return new TransformStream({
    transform(chunk, controller) {
      digest.update(chunk);
      controller.enqueue(chunk);
    },
  });
}
