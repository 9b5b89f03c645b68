import { decompressZstd, IndexingError } from "../../layers/builder/mod.ts";
import {
  decompressBy,
  type Decompressor,
  DecompressorError,
  mostOutput,
  tarWriters,
} from "../../layers/whole/mod.ts";
import type { KeptBlobs } from "../../layers/store/mod.ts";
import {
  DigestStream,
  layerCompression,
  updateInSteps,
} from "../../formats/oci/mod.ts";
import { BUILD_TOOL } from "../../formats/ztoc/mod.ts";
import {
  bytesOnDisk,
  removeIfThere,
  statIfThere,
} from "../../host/files/mod.ts";
import { ImageError } from "../../remote/image/mod.ts";
import type { RegistryClient } from "../../remote/registry/mod.ts";
import type { LineSpeeds } from "./line_speeds.ts";
import { logger } from "../../telemetry/mod.ts";
import { removeKept } from "./kept_parts.ts";
import { diskRoom } from "./source.ts";
import { StoppingError } from "./stopping.ts";
import { turn } from "./turn.ts";
import { WholeDownload } from "./whole_download.ts";
import {
  mostUnpackWorkers,
  REQUESTS_PER_HOST,
  WholeGates,
  type WholeLimits,
} from "./whole_limits.ts";
import type { Decompressors } from "./whole_options.ts";
import type { WholeProgress } from "./whole_progress.ts";
import type { WholeLayerRequest } from "./whole_request.ts";
import { takeByUnits } from "./whole_units.ts";

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
  readonly #expect: (ztocBytes: number) => void;
  #indexers: ReturnType<typeof tarWriters> | null = null;
  readonly #kept: KeptBlobs;
  /** Whether a layer is inflated by its units. */
  #onAllCores = false;

  /**
   * Starts nothing yet.
   * @param folder for files that are not done, on the disk of the layers. @param kept those of it that outlive us.
   * @param expect told when a large layer is nearly done, and what its ztoc will have at least, about. Default: nobody is.
   */
  constructor(
    { client, folder, kept, limits, decompressors, progress, speeds, expect }: {
      readonly client: RegistryClient;
      readonly folder: string;
      readonly kept: KeptBlobs;
      readonly limits: WholeLimits;
      readonly decompressors: Decompressors;
      readonly progress: WholeProgress;
      readonly speeds: LineSpeeds;
      readonly expect?: (ztocBytes: number) => void;
    },
  ) {
    this.#client = client;
    this.#folder = folder;
    this.#kept = kept;
    this.#limits = limits;
    this.#decompressors = decompressors;
    this.#gates = new WholeGates(limits);
    this.#progress = progress;
    this.#speeds = speeds;
    this.#expect = expect ?? (() => {});
  }

  /**
   * Takes one layer. Where an earlier process was killed at it and its blob is kept, what came is hashed again and not
   * fetched again.
   * @throws ImageError if the bytes are not the layer's, cannot be indexed or do not fit on the disk; RegistryError, the
   * signal's reason
   */
  async take(request: WholeLayerRequest): Promise<LocalLayer> {
    const hasMirrors = this.#client.asksMirrors(request.reference); // another layer may tell first that they lie
    try {
      return await this.#take(request);
    } catch (error) {
      if (!this.#isOfOthers(request, error, hasMirrors)) throw error;
      return await this.take(request);
    }
  }

  /**
   * Whether the registry itself may give something else than what came: that is of an earlier process, whose file is gone
   * now, or of mirrors, which are passed from now on.
   */
  #isOfOthers(
    { reference, layer }: WholeLayerRequest,
    error: unknown,
    hasMirrors: boolean,
  ): boolean {
    const isFound = error instanceof FoundBytesError;
    const isOfMirrors = error instanceof OtherBytesError && hasMirrors;
    if (!isFound && !isOfMirrors) return false;
    if (isOfMirrors) this.#client.passMirrors(reference);
    log.warn(
      isFound
        ? "what was left of a layer is of no use, it starts over"
        : "a mirror gave other bytes than a layer's, the registry is asked",
      { layer: layer.digest, error: String(isFound ? error.cause : error) },
    );
    return true;
  }

  async #take(request: WholeLayerRequest): Promise<LocalLayer> {
    const { reference, layer, signal } = request;
    const kind = layerCompression(layer.mediaType);
    const refused: Refused = (why, cause, Of = ImageError) =>
      new Of(
        reference.toString(),
        layer.digest,
        why,
        cause === undefined ? undefined : { cause },
      );
    if (kind === "none") {
      throw refused(`media type ${layer.mediaType} is no layer`);
    }
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    using kept = new DisposableStack();
    const own = `${this.#folder}/layer-${crypto.randomUUID()}`;
    const blob = this.#keptPath(request, kept) ?? own;
    const found = statIfThere(blob);
    // The tar is as large at least, or nearly so. What an earlier process left has its room already.
    const missing = 2 * layer.size - (found === null ? 0 : bytesOnDisk(found));
    const room = this.#room(missing);
    if (missing > room) {
      throw refused(
        `${missing} bytes or more, and there is room for ${room}; free disk space below --root`,
      );
    }
    const files = {
      ...{ blob, isResumed: blob !== own },
      ...{ data: `${own}.tar`, known: `${own}.ztoc` },
    };
    kept.defer(() => {
      const isLeft = files.isResumed && signal.reason instanceof StoppingError;
      removeIfThere(files.data);
      if (isLeft) return;
      removeKept(blob);
    });
    const ztoc = await this.#byUnits(request, kind, files);
    const made = ztoc === null
      ? await this.#byDownload(request, kind, files, refused)
      : { ztoc, isOfTar: false };
    const whole = kept.move();
    return {
      ...{ ...files, ...made },
      [Symbol.dispose]: () => whole[Symbol.dispose](),
    };
  }

  /** All of it comes in order. */
  async #byDownload(
    request: WholeLayerRequest,
    kind: Kind,
    { blob: path, isResumed, data }: LayerPaths,
    refused: Refused,
  ): Promise<{ ztoc: Uint8Array<ArrayBuffer>; isOfTar: boolean }> {
    const { reference, layer, requester, isKept, signal } = request;
    using progress = this.#begin(request);
    using download = new WholeDownload({
      ...{ client: this.#client, repository: reference, blob: layer },
      ...{ path, isResumed, requester, signal, gates: this.#gates },
      // What programs make nothing of is read again.
      isKept: isKept || this.#programFor(kind) !== undefined,
      chunkBytes: this.#limits.chunkBytes,
      atOnce: Math.min(this.#limits.downloadsPerImage, REQUESTS_PER_HOST),
      room: () => this.#room(1),
      onBytes: progress.came,
      onFound: progress.found,
    });
    try {
      const turn = { ...turnOf(request), waitsMs: () => download.waitsMs };
      return await this.#gates.unpack(turn, async () => {
        download.activate();
        await download.begun(); // what never comes has no Worker
        return await this.#index(request, kind, download, data, refused);
      });
    } catch (error) {
      download[Symbol.dispose]();
      await download.done.catch(() => {}); // nothing writes from here on
      if (download.foundBytes > 0 && error instanceof ImageError) {
        throw new FoundBytesError(error);
      }
      throw error;
    }
  }

  #begin({ reference, layer, requester }: WholeLayerRequest) {
    const step = this.#progress.begin(requester.image, layer);
    const line = this.#speeds.begin(reference.host);
    return {
      came: (bytes: number) => {
        step.came(bytes);
        line.came(bytes);
      },
      found: (bytes: number) => step.came(bytes),
      [Symbol.dispose]: () => {
        step[Symbol.dispose]();
        line[Symbol.dispose]();
      },
    };
  }

  /** A path that stays while this process takes the layer; null where the blob is not kept, or is taken just now. */
  #keptPath(
    { isKept, keptAs }: WholeLayerRequest,
    until: DisposableStack,
  ): string | null {
    if (!isKept || keptAs === undefined) return null;
    const taken = this.#kept.take(keptAs);
    return taken === null ? null : until.use(taken).path;
  }

  /** How many bytes the disk has room for. What nobody goes on from goes, where that are less than so many. */
  #room(bytes: number): number {
    return this.#kept.makeRoom(bytes, () => diskRoom(this.#folder));
  }

  async #index(
    request: WholeLayerRequest,
    kind: Kind,
    download: WholeDownload,
    data: string,
    refused: Refused,
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
    }
    try {
      const made = await this.#pass(request, kind, download, data);
      if (made.digest !== layer.digest) {
        throw refused(
          `the registry served ${made.digest}`,
          undefined,
          OtherBytesError,
        );
      }
      if (made.diffId !== diffId) {
        throw refused(
          `its tar is ${made.diffId}, the configuration says ${diffId}`,
        );
      }
      return { ztoc: made.ztoc, isOfTar: kind === "zstd" };
    } catch (cause) {
      if (!(cause instanceof IndexingError)) throw cause;
      const Of = cause.reason === "damaged" ? OtherBytesError : ImageError;
      throw refused(`cannot be indexed: ${cause.message}`, cause, Of);
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
      ...(!isOfTar && { release: (piece: Uint8Array) => download.give(piece) }),
    });
    return { ztoc, diffId, digest: isOfTar ? blobDigest.finish() : digest };
  }

  /**
   * Takes a layer on all cores, if it is known where it can be entered. No other layer is meanwhile: it would find no
   * core.
   * @returns null where that is not so, or was of no use.
   */
  async #byUnits(
    request: WholeLayerRequest,
    kind: Kind,
    { data, known: ztoc }: LayerPaths,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    const { known, isKept } = request;
    const mayBe = kind === "gzip" && known !== null && !isKept &&
      this.#programFor(kind) === undefined && !this.#onAllCores;
    if (!mayBe) return null;
    this.#onAllCores = true;
    using progress = this.#begin(request);
    try {
      return await this.#gates.unpack(turnOf(request), () =>
        takeByUnits({
          ...{ request, known, data, ztoc, onBytes: progress.came },
          ...{ client: this.#client, gates: this.#gates },
          ...{ writers: this.#writers, folder: this.#folder },
          onInflated: this.#expect,
        }));
    } finally {
      removeIfThere(ztoc);
      this.#onAllCores = false;
    }
  }

  get #writers(): ReturnType<typeof tarWriters> {
    return this.#indexers ??= tarWriters(
      mostUnpackWorkers(this.#limits),
      this.#folder,
    );
  }

  /** Stops the Workers. */
  [Symbol.dispose](): void {
    this.#indexers?.[Symbol.dispose]();
  }
}

/** Says what is wrong with a layer. */
type Refused = (
  why: string,
  cause?: unknown,
  Of?: typeof ImageError,
) => ImageError;

/** What came is not the layer. */
class OtherBytesError extends ImageError {}

/** What an earlier process left is not the layer's, or what was made of it: nothing is said of the registry. */
class FoundBytesError extends Error {
  constructor(cause: ImageError) {
    super("what was found of a layer is of no use", { cause });
  }
}

/** Where the files of one layer are while it is taken. */
interface LayerPaths {
  readonly blob: string;
  /** Whether that may hold what an earlier process left. */
  readonly isResumed: boolean;
  /** Of its tar. */
  readonly data: string;
  /** Of the ztoc that tells where it can be entered. */
  readonly known: string;
}

/** What its turn at a Worker depends on. */
function turnOf({ requester: { image }, layer }: WholeLayerRequest) {
  return { image, sizeBytes: layer.size };
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

function hashed(digest: DigestStream): TransformStream<Bytes, Bytes> {
  return new TransformStream({
    async transform(chunk, controller) {
      await updateInSteps(digest, chunk, turn);
      controller.enqueue(chunk);
    },
  });
}
