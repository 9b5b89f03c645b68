import { decompressZstd, IndexingError } from "../../layers/builder/mod.ts";
import {
  decompressBy,
  type Decompressor,
  DecompressorError,
  mostOutput,
  tarWriters,
} from "../../layers/whole/mod.ts";
import { keptBlobPath } from "../../layers/store/mod.ts";
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
import { removeKept } from "./kept_parts.ts";
import { diskRoom } from "./source.ts";
import { StoppingError } from "./stopping.ts";
import { WholeDownload } from "./whole_download.ts";
import {
  type Requester,
  REQUESTS_PER_HOST,
  unpackWorkers,
  WholeGates,
  type WholeLimits,
} from "./whole_limits.ts";
import type { Decompressors } from "./whole_options.ts";
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
  /** Whether the ztoc is of the tar alone, of zstd or by a program: spans of it are no ranges of the blob. */
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
  /**
   * Names that file for whoever may go on from it after this process was killed: the same layer for the same claimant,
   * and nobody else. Default: nobody does.
   */
  readonly keptAs?: string;
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
  readonly #decompressors: Decompressors;
  readonly #gates: WholeGates;
  readonly #progress: WholeProgress;
  readonly #speeds: LineSpeeds;
  readonly #pool: InflatePool;
  #indexers: ReturnType<typeof tarWriters> | null = null;
  /** Kept blobs that have an owner. */
  readonly #taking = new Set<string>();
  /** Whether a layer is inflated by its spans. */
  #onAllCores = false;

  /** Starts nothing yet. @param folder for files that are not done, on the disk of the layers. */
  constructor(
    { client, folder, limits, decompressors, progress, speeds, pool }: {
      readonly client: RegistryClient;
      readonly folder: string;
      readonly limits: WholeLimits;
      readonly decompressors: Decompressors;
      readonly progress: WholeProgress;
      readonly speeds: LineSpeeds;
      /** Inflates spans. */
      readonly pool: InflatePool;
    },
  ) {
    this.#client = client;
    this.#folder = folder;
    this.#limits = limits;
    this.#decompressors = decompressors;
    this.#gates = new WholeGates(limits);
    this.#progress = progress;
    this.#speeds = speeds;
    this.#pool = pool;
  }

  /**
   * Takes one layer. Where an earlier process was killed at it and its blob is kept, what came is hashed again and not
   * fetched again.
   * @throws ImageError if the bytes are not the layer's, cannot be indexed or do not fit on the disk; RegistryError, the
   * signal's reason
   */
  async take(request: WholeLayerRequest): Promise<LocalLayer> {
    try {
      return await this.#take(request);
    } catch (error) {
      if (!(error instanceof FoundBytesError)) throw error;
      log.warn("what was left of a layer is of no use, it starts over", {
        layer: request.layer.digest,
        error: String(error.cause),
      });
      return await this.#take(request); // the file is gone
    }
  }

  async #take(request: WholeLayerRequest): Promise<LocalLayer> {
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
    using kept = new DisposableStack();
    const own = `${this.#folder}/layer-${crypto.randomUUID()}`;
    const blob = this.#keptPath(request, kept) ?? own;
    const files = { blob, data: `${own}.tar` };
    kept.defer(() => {
      const isLeft = blob !== own && signal.reason instanceof StoppingError;
      if (isLeft) return void removeIfThere(files.data);
      for (const file of Object.values(files)) removeIfThere(file);
      removeKept(blob);
    });
    using step = this.#progress.begin(requester.image, layer);
    using line = this.#speeds.begin(reference.host);
    using download = new WholeDownload({
      ...{ client: this.#client, repository: reference, blob: layer },
      ...{ path: blob, requester, signal, gates: this.#gates },
      isResumed: blob !== own,
      // What is inflated by spans or programs of no use is read again.
      isKept: isKept || request.known !== null ||
        this.#programFor(kind) !== undefined,
      chunkBytes: this.#limits.chunkBytes,
      atOnce: Math.min(this.#limits.downloadsPerImage, REQUESTS_PER_HOST),
      room: () => diskRoom(this.#folder),
      onBytes: (bytes) => {
        step.came(bytes);
        line.came(bytes);
      },
      onFound: (bytes) => step.came(bytes),
    });
    let made: { ztoc: Uint8Array<ArrayBuffer>; isOfTar: boolean };
    try {
      made = await this.#gates.unpack(
        requester,
        () => this.#index(request, kind, download, files.data, refused),
      );
    } catch (error) {
      download[Symbol.dispose]();
      await download.done.catch(() => {}); // nothing writes from here on
      if (download.foundBytes > 0 && error instanceof ImageError) {
        throw new FoundBytesError(error);
      }
      throw error;
    }
    const whole = kept.move();
    return {
      ...{ ...files, ...made },
      [Symbol.dispose]: () => whole[Symbol.dispose](),
    };
  }

  /** A path that stays while this process takes the layer; null where the blob is not kept, or is taken just now. */
  #keptPath(
    { isKept, keptAs }: WholeLayerRequest,
    until: DisposableStack,
  ): string | null {
    if (!isKept || keptAs === undefined || this.#taking.has(keptAs)) {
      return null;
    }
    this.#taking.add(keptAs);
    until.defer(() => this.#taking.delete(keptAs));
    return keptBlobPath(this.#folder, keptAs);
  }

  async #index(
    request: WholeLayerRequest,
    kind: Kind,
    download: WholeDownload,
    data: string,
    refused: (why: string, cause?: unknown) => ImageError,
  ): Promise<{ ztoc: Uint8Array<ArrayBuffer>; isOfTar: boolean }> {
    const { layer, diffId } = request;
    const program = this.#programFor(kind);
    if (program !== undefined) {
      const ztoc = await this.#byProgram(
        request,
        kind,
        download,
        data,
        program,
      );
      if (ztoc !== null) return { ztoc, isOfTar: true };
    } else if (
      kind === "gzip" && request.known !== null && !this.#onAllCores
    ) {
      const asked = request.known();
      const ztoc = await this.#bySpans(request, asked, download, data);
      if (ztoc !== null) return { ztoc, isOfTar: false };
    }
    try {
      const made = await this.#pass(request, kind, download, data);
      if (made.digest !== layer.digest) {
        throw refused(`the registry served ${made.digest}`);
      }
      if (made.diffId !== diffId) {
        throw refused(
          `its tar is ${made.diffId}, the configuration says ${diffId}`,
        );
      }
      return { ztoc: made.ztoc, isOfTar: kind === "zstd" };
    } catch (cause) {
      if (!(cause instanceof IndexingError)) throw cause;
      throw refused(`cannot be indexed: ${cause.message}`, cause);
    }
  }

  #programFor(kind: Kind): Decompressor | undefined {
    return kind === "uncompressed" ? undefined : this.#decompressors[kind];
  }

  /** @returns null where the program gave something else: the layer is read again, which tells whose fault it is. */
  async #byProgram(
    request: WholeLayerRequest,
    kind: Kind,
    download: WholeDownload,
    data: string,
    program: Decompressor,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const { layer, diffId } = request;
    const told = { layer: layer.digest, path: program.path };
    let error: string;
    try {
      const made = await this.#pass(request, kind, download, data, program);
      if (made.digest === layer.digest && made.diffId === diffId) {
        log.debug("a program decompressed a layer", told);
        return made.ztoc;
      }
      error = `it gave ${made.diffId}`;
    } catch (cause) {
      if (!mayBeOfProgram(cause)) throw cause;
      error = cause.message;
    }
    log.warn("a program did not decompress a layer, it is done without", {
      ...told,
      error,
    });
    return null;
  }

  /** One pass over the layer. @returns the digests of what passed, too. */
  async #pass(
    { layer, spanSizeBytes, windows, signal }: WholeLayerRequest,
    kind: Kind,
    download: WholeDownload,
    data: string,
    program: Decompressor | null = null,
  ) {
    const blobDigest = new DigestStream();
    let bytes = ReadableStream.from(download.pieces());
    const isOfTar = program !== null || kind === "zstd";
    if (isOfTar) {
      const packed = bytes.pipeThrough(hashed(blobDigest));
      const outputBytes = mostOutput(layer.size);
      bytes = program === null
        ? decompressZstd(packed)
        : decompressBy(program, packed, { outputBytes });
    }
    const { ztoc, digest, diffId } = await this.#writers.index(bytes, {
      compression: kind === "gzip" && !isOfTar ? "gzip" : "uncompressed",
      buildTool: BUILD_TOOL,
      ...{ spanSizeBytes, windows, signal, data },
    });
    return { ztoc, diffId, digest: isOfTar ? blobDigest.finish() : digest };
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

/** What an earlier process left is not the layer's, or what was made of it: nothing is said of the registry. */
class FoundBytesError extends Error {
  constructor(cause: ImageError) {
    super("what was found of a layer is of no use", { cause });
  }
}

/** How a layer is compressed. */
type Kind = "gzip" | "zstd" | "uncompressed";

/** Whether an error says that a program gave something that is no layer. */
function mayBeOfProgram(error: unknown): error is Error {
  return error instanceof DecompressorError ||
    error instanceof IndexingError && error.reason !== "disk" &&
      error.reason !== "internal";
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
