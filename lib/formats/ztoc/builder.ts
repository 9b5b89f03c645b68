import { type Digest, DigestStream } from "../oci/mod.ts";
import {
  BLOCK_BYTES,
  type TarEntry,
  TarWalker,
  wholeBlocks,
} from "../tar/mod.ts";
import { ZtocError } from "./errors.ts";
import { encodeZtocSource } from "./encode.ts";
import { EntryList } from "./entry_list.ts";
import { GzipPass, type WindowBytes } from "./gzip_pass.ts";
import { KnownPass, type KnownSpans } from "./known_pass.ts";
import {
  BUILD_TOOL,
  checkSpanSize,
  MAX_ENTRIES,
  MAX_ZTOC_BYTES,
  type Ztoc,
  ZTOC_VERSION,
  type ZtocCompression,
  type ZtocEntry,
} from "./model.ts";
import type { LayerPass, PassResult } from "./pass.ts";
import { TarPass } from "./tar_pass.ts";
import { ZstdPass } from "./zstd_pass.ts";

/** How a layer is read. */
export interface ZtocBuilderOptions {
  /** How the blob is packed; gzip of any number of members, zstd of several frames. */
  readonly compression: ZtocCompression;
  /** Least uncompressed bytes of a span; at least 1. */
  readonly spanSize: number;
  /** Default: the identifier of the existing tools. */
  readonly buildTool?: string;
  /**
   * Whether to hash the tar too (default `compute`). It takes a fifth of all the time, and an index
   * does not need it: blob digest and the checksums inside gzip vouch for the bytes.
   */
  readonly diffId?: "compute" | "skip";
  /** What is kept of the windows of a gzip layer. Default: all, as the existing tools do. */
  readonly windows?: WindowBytes;
  /**
   * Of a gzip layer that is inflated elsewhere: its spans. What is pushed then is the tar and all behind it, and
   * `digest` is the diff ID. Default: what is pushed is the blob.
   */
  readonly known?: KnownSpans;
  /** Takes the uncompressed bytes, in order; they are valid during the call. */
  readonly onOutput?: (bytes: Uint8Array) => void;
}

/** What one pass over a layer tells. */
export interface BuiltZtoc extends LayerDigests {
  /** The ztoc, all in memory. */
  readonly ztoc: Ztoc;
}

/** What one pass over a layer tells, with the ztoc as it is stored. */
export interface EncodedZtoc extends LayerDigests {
  /** The ztoc's bytes; maybe a view of a larger buffer, which nobody else uses. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many spans the layer has. */
  readonly spanCount: number;
  /** How many entries the layer has, directories and links counted. */
  readonly entryCount: number;
  /** Bytes of the layer blob. */
  readonly compressedSize: number;
  /** Bytes of the tar up to the end of its end marker. */
  readonly uncompressedSize: number;
}

/** The digests of one layer. */
export interface LayerDigests {
  /** Of the layer blob. */
  readonly digest: Digest;
  /** Of the whole uncompressed stream: the layer's diff ID. null when it was not asked for. */
  readonly diffId: Digest | null;
}

/**
 * Makes a ztoc in one pass over the bytes of a layer blob: hashes, inflates, walks the tar, sets
 * checkpoints and hashes spans. Memory is bounded but for the ztoc itself.
 *
 * Every method throws `ZtocError`, `TarError`, `DeflateError` or `ZstdError` when the layer cannot be indexed;
 * the builder is of no use after that.
 *
 * @example
 * ```ts
 * import { encodeZtoc, ZtocBuilder } from "./mod.ts";
 * import assert from "node:assert/strict";
 * const builder = new ZtocBuilder({ compression: "uncompressed", spanSize: 512 });
 * builder.push(new Uint8Array(1024)); // an empty tar
 * const { ztoc, digest, diffId } = builder.finish();
 * assert.equal(ztoc.spanDigests.length, 2);
 * assert.equal(digest, diffId);
 * assert(encodeZtoc(ztoc).length > 0);
 * ```
 */
export class ZtocBuilder {
  readonly #options: ZtocBuilderOptions;
  readonly #pass: LayerPass;
  readonly #walker: TarWalker;
  readonly #entries = new EntryList();
  readonly #digest = new DigestStream();
  /** Of the uncompressed stream; an uncompressed layer's is the blob's own. */
  readonly #diffId: DigestStream | null;
  #compressedBytes = 0;
  /** Where the padded data of the last entry ends. */
  #dataEnd = 0;

  /** A pass that has read nothing yet. @throws RangeError when the span size is not a whole number from 1 on. */
  constructor(options: ZtocBuilderOptions) {
    const { compression, spanSize, diffId = "compute" } = options;
    if (!Number.isSafeInteger(spanSize) || spanSize < 1) {
      throw new RangeError(`a span size of ${spanSize} bytes`);
    }
    this.#options = options;
    this.#walker = new TarWalker({ onEntry: (entry) => this.#add(entry) });
    const isTar = compression === "uncompressed" || options.known !== undefined;
    this.#diffId = !isTar && diffId === "compute" ? new DigestStream() : null;
    const onOutput = (bytes: Uint8Array) => {
      this.#diffId?.update(bytes);
      this.#walker.push(bytes);
      options.onOutput?.(bytes);
    };
    const pass = { spanSize, onOutput };
    if (options.known !== undefined) {
      this.#pass = new KnownPass({ ...pass, known: options.known });
      return;
    }
    switch (compression) {
      case "gzip":
        this.#pass = new GzipPass({
          ...pass,
          windows: options.windows ?? "all",
        });
        break;
      case "zstd":
        this.#pass = new ZstdPass(pass);
        break;
      case "uncompressed":
        this.#pass = new TarPass(pass);
    }
  }

  /** Bytes of the blob taken so far. */
  get compressedBytes(): number {
    return this.#compressedBytes;
  }

  /** Takes the next bytes of the blob; they may be reused after the call. */
  push(chunk: Uint8Array): void {
    this.#compressedBytes += chunk.length;
    this.#digest.update(chunk);
    this.#pass.push(chunk);
  }

  /** Ends the layer. */
  finish(): BuiltZtoc {
    const { checkpoints, ...source } = this.#end();
    const blob = new Uint8Array(checkpoints.length);
    checkpoints.write(blob);
    return {
      ztoc: {
        ...source,
        entries: this.#entries.toArray(),
        checkpoints: blob,
      },
      ...this.#digests(),
    };
  }

  /** Ends the layer like {@link finish}, with large parts never in memory twice. */
  finishEncoded(): EncodedZtoc {
    const source = this.#end();
    return {
      bytes: encodeZtocSource({ ...source, entries: this.#entries }),
      spanCount: source.spanDigests.length,
      entryCount: this.#entries.length,
      compressedSize: source.compressedSize,
      uncompressedSize: source.uncompressedSize,
      ...this.#digests(),
    };
  }

  /** The entries so far, in tar order; their bytes are views. @param from how many of them are left out. */
  *entries(from: number = 0): Generator<ZtocEntry, void, void> {
    for (let i = from; i < this.#entries.length; i++) {
      yield this.#entries.get(i);
    }
  }

  #end():
    & Omit<PassResult, "lastSpan">
    & Omit<Ztoc, "entries" | "checkpoints"> {
    const { lastSpan, ...result } = this.#pass.finish();
    const { size } = this.#walker.finish();
    const span = result.spanDigests.length - 1;
    checkSpanSize(span, result.compressedSize - lastSpan.in);
    checkSpanSize(span, size - lastSpan.out);
    if (
      this.#entries.mostBytes + result.checkpoints.length > MAX_ZTOC_BYTES
    ) throw tooLarge();
    return {
      ...result,
      version: ZTOC_VERSION,
      buildTool: this.#options.buildTool ?? BUILD_TOOL,
      uncompressedSize: size,
      compression: this.#options.compression,
    };
  }

  #digests(): LayerDigests {
    const digest = this.#digest.finish();
    const { compression, known } = this.#options;
    if (compression === "uncompressed" || known !== undefined) {
      return { digest, diffId: digest };
    }
    return { digest, diffId: this.#diffId?.finish() ?? null };
  }

  #add(entry: TarEntry): void {
    if (
      this.#entries.length >= MAX_ENTRIES ||
      this.#entries.mostBytes > MAX_ZTOC_BYTES
    ) throw tooLarge();
    if (entry.type === "reg" && entry.headerOffset > this.#dataEnd) {
      this.#entries.add(placeholder(entry.headerOffset));
    }
    this.#dataEnd = wholeBlocks(entry.offset + entry.size);
    this.#entries.add(entry);
  }
}

/**
 * Stands for the parts that the tar walk skipped. A ztoc does not say where an entry's header begins:
 * readers take it to be where the data before it ends, and compare that header with the entry before
 * they give out a file's bytes. So before a file something must end where its header begins. Names like
 * this one are bookkeeping of AUFS, which no reader shows.
 */
function placeholder(offset: number): TarEntry {
  return {
    name: PLACEHOLDER_NAME,
    type: "reg",
    linkname: NOTHING,
    offset,
    headerOffset: offset - BLOCK_BYTES,
    size: 0,
    mode: 0,
    uid: 0,
    gid: 0,
    uname: NOTHING,
    gname: NOTHING,
    mtime: { seconds: 0, nanos: 0 },
    devMajor: 0,
    devMinor: 0,
    pax: [],
  };
}

/** The name of entries that stand for nothing; see `placeholder`. */
export const PLACEHOLDER_NAME: Uint8Array = new TextEncoder().encode(
  ".wh..wh.passed-over",
);
const NOTHING = new Uint8Array(0);

function tooLarge(): ZtocError {
  return new ZtocError(
    "too-large",
    -1,
    "the layer holds more files than one ztoc can list",
  );
}
