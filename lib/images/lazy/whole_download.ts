import type { Descriptor } from "../../formats/oci/mod.ts";
import { writeAll } from "../../host/files/mod.ts";
import {
  type RegistryClient,
  RegistryError,
  type Repository,
} from "../../remote/registry/mod.ts";
import { WRITE_BYTES } from "../../layers/whole/mod.ts";
import { KeptParts, type PartsThere } from "./kept_parts.ts";
import type { Requester, WholeGates } from "./whole_limits.ts";
import { NoRoomError } from "./whole_stream.ts";

/** Bytes given on at a time. */
const PIECE_BYTES = 2 ** 20;
/** What waits in memory is given on as it is, unless it is larger. */
const WHOLE_PIECE_BYTES = 4 * PIECE_BYTES;
/** What a request holds in memory whose bytes are written as they come. */
const STREAM_BYTES = 2 ** 20;
/** After so many bytes the disk is looked at again. */
const LOOK_BYTES = 4 * 2 ** 20;

/** What is downloaded, and how. */
export interface WholeDownloadOptions {
  readonly client: RegistryClient;
  readonly repository: Repository;
  readonly blob: Pick<Descriptor, "digest" | "size">;
  /** A file for what cannot be read on at once, and for all of it where it is kept. */
  readonly path: string;
  /** Whether the file is to hold all of the blob. */
  readonly isKept: boolean;
  /** Whether a process that finds the file goes on from what is in it. Default: it does not. */
  readonly isResumed?: boolean;
  /** How many bytes the file's disk has room for. */
  readonly room: () => number;
  /** Bytes of one request; Infinity: the blob is one request. */
  readonly chunkBytes: number;
  /** The most requests at a time. */
  readonly atOnce: number;
  readonly gates: WholeGates;
  readonly requester: Requester;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told of bytes that came. */
  readonly onBytes?: (bytes: number) => void;
  /** Told of bytes that were in the file. */
  readonly onFound?: (bytes: number) => void;
}

/** What came and waits in memory for whoever reads in order. */
interface Held {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its room. */
  readonly room: Disposable;
}

/**
 * A blob that comes by several requests side by side, and is read in order meanwhile. What the reader is not ready for
 * waits in a file, unless there is room for it in memory. Nothing of it is trusted: whoever reads it hashes it.
 */
export class WholeDownload implements Disposable {
  readonly #options: WholeDownloadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** By chunk: whether it is here. */
  readonly #here: boolean[];
  /** By chunk: those that are here and not in the file, or need not be read from there. */
  readonly #held = new Map<number, Held>();
  #isRead = false;
  readonly #chunkBytes: number;
  /** The first chunk that nobody has asked for. */
  #next = 0;
  /** Bytes from the beginning on that are here. */
  #filled = 0;
  /** The registry gives no ranges: what is missing comes by one request. */
  #wholly = false;
  #grown = Promise.withResolvers<void>();
  readonly #parts: KeptParts | null = null;
  /** Bytes that an earlier process brought. */
  readonly foundBytes: number = 0;
  readonly #done: Promise<void>;
  /** Of the gates' memory. */
  readonly #use: Disposable;

  /** Begins at once. */
  constructor(options: WholeDownloadOptions) {
    this.#options = options;
    const { blob: { size }, chunkBytes, signal } = options;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#chunkBytes = Math.min(chunkBytes, Math.max(1, size));
    this.#wholly = size <= chunkBytes;
    this.#here = new Array(Math.ceil(size / this.#chunkBytes)).fill(false);
    this.#grown.promise.catch(() => {}); // told to whoever reads
    // One piece is sooner fetched than looked for.
    if (options.isResumed && size > PIECE_BYTES) {
      this.#parts = KeptParts.open(
        options.path,
        size,
        this.#wholly ? null : this.#chunkBytes,
      );
      this.foundBytes = this.#goOn(this.#parts.there);
      options.onFound?.(this.foundBytes);
    }
    this.#use = options.gates.download();
    this.#done = this.#run().finally(() => this.#parts?.[Symbol.dispose]());
    this.#done.catch((error) => {
      this.#grown.promise.catch(() => {});
      this.#grown.reject(error);
    });
  }

  /** Resolves when all of it is here. @throws RegistryError, Deno's errors, the signal's reason */
  get done(): Promise<void> {
    return this.#done;
  }

  /** @returns how many bytes are here. */
  #goOn({ chunks, inOrder }: PartsThere): number {
    const { size } = this.#options.blob;
    this.#filled = inOrder;
    for (const chunk of chunks) this.#here[chunk] = true;
    this.#advance();
    return chunks.reduce(
      (sum, chunk) =>
        sum + Math.min(this.#chunkBytes, size - chunk * this.#chunkBytes),
      inOrder,
    );
  }

  async #run(): Promise<void> {
    const { atOnce } = this.#options;
    if (!this.#wholly) {
      const lines = Math.min(atOnce, this.#here.length);
      const settled = await Promise.allSettled(
        Array.from({ length: lines }, () => this.#line()),
      );
      const failed = settled.find(({ status }) => status === "rejected");
      if (failed?.status === "rejected") throw failed.reason;
    }
    const isHere = this.foundBytes > 0 &&
      this.#filled === this.#options.blob.size;
    if (this.#wholly && !isHere) await this.#rest();
  }

  /** One request after the other, until all are made. */
  async #line(): Promise<void> {
    const { client, repository, blob, gates, requester } = this.#options;
    try {
      while (this.#next < this.#here.length && !this.#wholly) {
        const chunk = this.#next++;
        if (this.#here[chunk]) continue;
        const start = chunk * this.#chunkBytes;
        const end = Math.min(blob.size, start + this.#chunkBytes);
        await gates.request(requester, end - start, async () => {
          if (this.#wholly) return;
          this.#signal.throwIfAborted();
          this.#look();
          const bytes = gates.take(end - start);
          let told = 0;
          await client.range(
            repository,
            blob.digest,
            start,
            end,
            bytes,
            this.#signal,
            (filled) => {
              this.#options.onBytes?.(filled - told);
              told = filled;
            },
            { isBulk: true },
          );
          this.#options.onBytes?.(bytes.length - told);
          if (!this.#hold(chunk, bytes)) {
            await this.#write(start, bytes);
            this.#parts?.add(chunk);
            gates.give(bytes);
          }
          this.#here[chunk] = true;
          this.#advance();
        });
      }
    } catch (error) {
      if (error instanceof RegistryError && error.kind === "range") {
        this.#wholly = true;
        return;
      }
      this.#stop.abort(error); // the other requests are of no use
      throw error;
    }
  }

  /**
   * Leaves a chunk in memory, if there is room.
   * @returns false where it must be written, and is the caller's.
   */
  #hold(chunk: number, bytes: Uint8Array<ArrayBuffer>): boolean {
    const { isKept, gates, blob: { size } } = this.#options;
    // What comes long before it is read would only take the room of others.
    const isSoon = this.#isRead || size <= PIECE_BYTES;
    if (isKept || !isSoon || this.#signal.aborted) return false;
    const room = gates.hold(bytes.length);
    if (room === null) return false;
    this.#held.set(chunk, { bytes, room });
    return true;
  }

  /** Frees what waits from a chunk on. */
  #drop(from: number): void {
    for (const [chunk, held] of this.#held) {
      if (chunk >= from) this.#free(chunk, held);
    }
  }

  #free(chunk: number, { bytes, room }: Held): void {
    this.#held.delete(chunk);
    this.give(bytes);
    room[Symbol.dispose]();
  }

  async #write(at: number, bytes: Uint8Array): Promise<void> {
    using file = await this.#open();
    file.seekSync(at, Deno.SeekMode.Start);
    for (let from = 0; from < bytes.length; from += WRITE_BYTES) {
      await writeAll(file, bytes.subarray(from, from + WRITE_BYTES));
    }
  }

  /** Takes memory of a piece back whose bytes were read. */
  give(piece: Uint8Array): void {
    this.#options.gates.give(piece);
  }

  /** All from the first byte that is missing on, by one request. */
  async #rest(): Promise<void> {
    const { client, repository, blob, gates, requester } = this.#options;
    await gates.request(requester, STREAM_BYTES, async () => {
      this.#signal.throwIfAborted();
      // What came ahead of that comes again.
      this.#drop(Math.ceil(this.#filled / this.#chunkBytes));
      const stream = await client.blob(repository, blob, {
        offset: this.#filled,
        signal: this.#signal,
      });
      if (blob.size <= PIECE_BYTES) await this.#small(stream);
      else await this.#stream(stream);
    });
  }

  /** Takes a blob that is no larger than one piece. */
  async #small(stream: AsyncIterable<Uint8Array>): Promise<void> {
    this.#look();
    const all = new Uint8Array(this.#options.blob.size);
    let at = 0;
    for await (const bytes of stream) {
      all.set(bytes, at);
      at += bytes.length;
      this.#options.onBytes?.(bytes.length);
    }
    if (!this.#hold(0, all)) await this.#write(0, all);
    this.#filled = at;
    this.#wake();
  }

  async #stream(stream: AsyncIterable<Uint8Array>): Promise<void> {
    using file = await this.#open();
    file.seekSync(this.#filled, Deno.SeekMode.Start);
    let lookAt = this.#filled;
    for await (const bytes of stream) {
      if (this.#filled >= lookAt) {
        this.#look();
        lookAt = this.#filled + LOOK_BYTES;
      }
      await writeAll(file, bytes);
      this.#options.onBytes?.(bytes.length);
      this.#filled += bytes.length;
      this.#wake();
    }
  }

  /** Others fill the disk, too. @throws NoRoomError */
  #look(): void {
    const { blob: { digest, size }, room } = this.#options;
    const left = room();
    if (left <= 0) throw new NoRoomError(digest, size, left);
  }

  #open(): Promise<Deno.FsFile> {
    const { path } = this.#options;
    return Deno.open(path, { write: true, create: true, mode: 0o600 });
  }

  #advance(): void {
    const before = this.#filled;
    while (this.#here[Math.floor(this.#filled / this.#chunkBytes)] === true) {
      this.#filled = Math.min(
        this.#options.blob.size,
        this.#filled + this.#chunkBytes,
      );
      if (this.#filled === this.#options.blob.size) break;
    }
    if (this.#filled > before) this.#wake();
  }

  #wake(): void {
    const { resolve } = this.#grown;
    this.#grown = Promise.withResolvers();
    this.#grown.promise.catch(() => {}); // told to whoever reads
    resolve();
  }

  /**
   * The blob's bytes in order, as they come; only once, unless the file is kept. Their memory is the reader's, who may
   * `give` it back. @throws as `done`
   */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    const { blob: { size }, path, gates } = this.#options;
    this.#isRead = true;
    let file: Deno.FsFile | null = null;
    try {
      for (let at = 0; at < size;) {
        while (this.#filled <= at) await this.#grown.promise;
        const chunk = Math.floor(at / this.#chunkBytes);
        const held = this.#held.get(chunk);
        if (held !== undefined) {
          const from = chunk * this.#chunkBytes;
          if (at === from && held.bytes.length <= WHOLE_PIECE_BYTES) {
            // Not copied: its memory is the reader's, and the room is free when the reader comes again.
            at += held.bytes.length;
            this.#held.delete(chunk);
            try {
              yield held.bytes;
            } finally {
              held.room[Symbol.dispose]();
            }
            continue;
          }
          const piece = held.bytes.slice(at - from, at - from + PIECE_BYTES);
          at += piece.length;
          if (at === from + held.bytes.length) this.#free(chunk, held);
          yield piece;
          continue;
        }
        file ??= await Deno.open(path);
        const end = Math.min(this.#filled, (chunk + 1) * this.#chunkBytes);
        const piece = gates.take(Math.min(PIECE_BYTES, end - at));
        file.seekSync(at, Deno.SeekMode.Start);
        const read = await file.read(piece);
        if (read === null) throw new Error(`${path} was cut off`);
        at += read;
        yield piece.subarray(0, read);
      }
    } finally {
      file?.close();
    }
    await this.#done;
  }

  /** Ends it, if it has not ended. The file, where there is one, stays. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the download is of no use any more"));
    this.#drop(0);
    this.#use[Symbol.dispose]();
  }
}
