import { type Digest, DigestStream } from "../oci/mod.ts";
import { type TarEntry, TarWalker } from "../tar/mod.ts";
import { ZtocError } from "./errors.ts";
import { GzipPass } from "./gzip_pass.ts";
import { formatModTime } from "./mod_time.ts";
import {
  BUILD_TOOL,
  MAX_ENTRIES,
  MAX_ZTOC_BYTES,
  type Ztoc,
  ZTOC_VERSION,
  type ZtocCompression,
  type ZtocEntry,
} from "./model.ts";
import type { LayerPass } from "./pass.ts";
import { TarPass } from "./tar_pass.ts";

/** How a layer is read. */
export interface ZtocBuilderOptions {
  readonly compression: ZtocCompression;
  /** Least uncompressed bytes of a span; at least 1. */
  readonly spanSize: number;
  /** Default: the identifier of the existing tools. */
  readonly buildTool?: string;
}

/** What one pass over a layer tells. */
export interface BuiltZtoc {
  readonly ztoc: Ztoc;
  /** Of the layer blob. */
  readonly digest: Digest;
  /** Of the whole uncompressed stream: the layer's diff ID. */
  readonly diffId: Digest;
}

/**
 * Makes a ztoc in one pass over the bytes of a layer blob: hashes, inflates, walks the tar, sets
 * checkpoints and hashes spans. Memory is bounded but for the ztoc itself.
 *
 * Every method throws `ZtocError`, `TarError` or `DeflateError` when the layer cannot be indexed;
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
  readonly #entries: ZtocEntry[] = [];
  readonly #digest = new DigestStream();
  /** Of the uncompressed stream; an uncompressed layer's is the blob's own. */
  readonly #diffId: DigestStream | null;
  #compressedBytes = 0;
  /** About what the entries will take in the ztoc. */
  #entryBytes = 0;

  constructor(options: ZtocBuilderOptions) {
    const { compression, spanSize } = options;
    if (!Number.isSafeInteger(spanSize) || spanSize < 1) {
      throw new RangeError(`a span size of ${spanSize} bytes`);
    }
    this.#options = options;
    this.#walker = new TarWalker({ onEntry: (entry) => this.#add(entry) });
    this.#diffId = compression === "gzip" ? new DigestStream() : null;
    const onOutput = (bytes: Uint8Array) => {
      this.#diffId?.update(bytes);
      this.#walker.push(bytes);
    };
    this.#pass = compression === "gzip"
      ? new GzipPass({ spanSize, onOutput })
      : new TarPass({ spanSize, onOutput });
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
    const { compressedSize, spanDigests, checkpoints } = this.#pass.finish();
    const { size } = this.#walker.finish();
    if (this.#entryBytes + checkpoints.length > MAX_ZTOC_BYTES) {
      throw tooLarge();
    }
    const digest = this.#digest.finish();
    return {
      ztoc: {
        version: ZTOC_VERSION,
        buildTool: this.#options.buildTool ?? BUILD_TOOL,
        compressedSize,
        uncompressedSize: size,
        entries: this.#entries,
        compression: this.#options.compression,
        spanDigests,
        checkpoints,
      },
      digest,
      diffId: this.#diffId?.finish() ?? digest,
    };
  }

  #add(entry: TarEntry): void {
    this.#entryBytes += 160 + entry.name.length + entry.linkname.length;
    for (const [key, value] of entry.pax) {
      this.#entryBytes += 32 + key.length + value.length;
    }
    if (
      this.#entries.length >= MAX_ENTRIES || this.#entryBytes > MAX_ZTOC_BYTES
    ) throw tooLarge();
    this.#entries.push({
      name: entry.name,
      type: entry.type,
      offset: entry.offset,
      size: entry.size,
      linkname: entry.linkname,
      mode: entry.mode,
      // As Go's conversion does it: modulo 2^32.
      uid: entry.uid >>> 0,
      gid: entry.gid >>> 0,
      uname: entry.uname,
      gname: entry.gname,
      modTime: formatModTime(entry.mtime),
      devMajor: entry.devMajor,
      devMinor: entry.devMinor,
      xattrs: entry.pax,
    });
  }
}

function tooLarge(): ZtocError {
  return new ZtocError(
    "too-large",
    -1,
    "the layer holds more files than one ztoc can list",
  );
}
