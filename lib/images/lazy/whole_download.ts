import type { Descriptor } from "../../formats/oci/mod.ts";
import { writeAll } from "../../host/files/mod.ts";
import {
  type RegistryClient,
  RegistryError,
  type Repository,
} from "../../remote/registry/mod.ts";
import { WRITE_BYTES } from "../../layers/whole/mod.ts";
import { ByteRate } from "./byte_rate.ts";
import { bringPart } from "./gated_range.ts";
import { HeldParts } from "./held_parts.ts";
import { KeptParts, type PartsThere } from "./kept_parts.ts";
import type { Queued } from "./part_queue.ts";
import { type OwnPart, requestParts } from "./part_requests.ts";
import { Wakeups } from "./wakeups.ts";
import type { Requester, WholeGates } from "./whole_limits.ts";
import { NoRoomError } from "./whole_stream.ts";

/** Bytes read at a time of a file. */
const PIECE_BYTES = 2 ** 20;
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

/**
 * A blob that comes by several requests side by side, when the queue has its turn, and is read in order meanwhile. What
 * the reader is not ready for waits in memory, or in a file where the queue gave it no place. Nothing of it is trusted:
 * whoever reads it hashes it.
 */
export class WholeDownload implements Disposable {
  readonly #options: WholeDownloadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** By chunk: whether it is here. */
  readonly #here: boolean[];
  /** Chunks before `#next` that are to be asked for again. */
  readonly #lost = new Set<number>();
  /** By chunk: those that are here and not in the file, or need not be read from there. */
  readonly #held = new HeldParts((bytes) => this.give(bytes));
  #isActive = false;
  /** Bytes from the beginning on that are asked for. */
  #askedBytes = 0;
  /** Those that are read. */
  #readBytes = 0;
  readonly #readRate = new ByteRate();
  #waitsSinceMs: number | null = null;
  #queued: Queued | null = null;
  readonly #chunkBytes: number;
  /** The first chunk that nobody has asked for. */
  #next = 0;
  /** Bytes from the beginning on that are here. */
  #filled = 0;
  /** The registry gives no ranges: what is missing comes by one request. */
  #wholly = false;
  #isRestAsked = false;
  readonly #grown = new Wakeups();
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
    this.#done.catch((error) => this.#grown.fail(error));
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
    if (!this.#wholly) await this.#inTurn(() => this.#nextPart());
    const isHere = this.foundBytes > 0 &&
      this.#filled === this.#options.blob.size;
    if (!this.#wholly || isHere) return;
    await this.#inTurn(() => this.#restPart());
  }

  /** Lets the queue ask for parts, until there is none and all that were asked for have come. */
  async #inTurn(next: () => OwnPart | null): Promise<void> {
    const { gates, atOnce } = this.#options;
    const { signal } = this.#stop;
    await requestParts({
      ...{ atOnce, next, layer: this, signal: this.#signal },
      join: (layer) => gates.join(layer),
      onQueued: (queued) => this.#queued = queued,
      failed: (error) => {
        const isRefused = error instanceof RegistryError &&
          error.kind === "range";
        if (isRefused) this.#wholly = true;
        else if (!signal.aborted) this.#stop.abort(error); // the other requests are of no use
        return isRefused;
      },
    });
  }

  /** Whose requests these are. */
  get requester(): Requester {
    return this.#options.requester;
  }

  /** Of the blob. */
  get sizeBytes(): number {
    return this.#options.blob.size;
  }

  /** Whether a Worker reads it. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /** Bytes that nobody has asked for. */
  get unaskedBytes(): number {
    return this.sizeBytes - Math.max(this.#filled, this.#askedBytes);
  }

  /** Bytes that are not read. */
  get unreadBytes(): number {
    return this.sizeBytes - this.#readBytes;
  }

  /** At which bytes are read, a ms; 0: unknown. */
  get readRate(): number {
    return this.#readRate.bytesPerMs;
  }

  #nextPart(): OwnPart | null {
    if (this.#wholly) return null;
    while (this.#here[this.#next]) this.#next++;
    const chunk = Math.min(...this.#lost, this.#next);
    if (chunk >= this.#here.length) return null;
    const { blob: { size }, isKept } = this.#options;
    const start = chunk * this.#chunkBytes;
    const end = Math.min(size, start + this.#chunkBytes);
    return {
      bytes: end - start,
      isFiled: isKept,
      isFirst: start <= this.#filled,
      ask: (place, signal) => {
        this.#next = Math.max(this.#next, chunk + 1);
        this.#lost.delete(chunk);
        this.#askedBytes = Math.max(this.#askedBytes, end);
        return this.#part(chunk, { start, end, place, signal });
      },
      lose: () => this.#lost.add(chunk),
    };
  }

  async #part(
    chunk: number,
    { start, end, place, signal }: {
      readonly start: number;
      readonly end: number;
      readonly place: Disposable | null;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const { client, repository, blob, gates } = this.#options;
    signal.throwIfAborted();
    this.#look();
    const bytes = gates.take(end - start);
    await bringPart(client, {
      ...{ repository, digest: blob.digest },
      ...{ start, end, into: bytes, signal },
    }, (came) => this.#came(came));
    if (place === null) {
      await this.#write(start, bytes);
      this.#parts?.add(chunk);
      gates.give(bytes);
    } else {
      this.#signal.throwIfAborted(); // nobody reads it any more
      this.#held.hold(chunk, bytes, place);
    }
    this.#here[chunk] = true;
    this.#advance();
  }

  #came(bytes: number): void {
    this.#options.onBytes?.(bytes);
    this.#queued?.came(bytes);
    this.#waitsSinceMs &&= performance.now();
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

  /** A request for all that is missing. */
  #restPart(): OwnPart | null {
    if (this.#isRestAsked) return null;
    const { blob: { size }, isKept } = this.#options;
    const isSmall = size <= PIECE_BYTES;
    return {
      bytes: isSmall ? size : STREAM_BYTES,
      isFiled: isKept || !isSmall,
      isFirst: true,
      ask: (place, signal) => {
        this.#isRestAsked = true;
        this.#askedBytes = size;
        return this.#rest(place, signal);
      },
      lose: () => this.#isRestAsked = false,
    };
  }

  /** All from the first byte that is missing on, by one request. */
  async #rest(place: Disposable | null, signal: AbortSignal): Promise<void> {
    const { client, repository, blob } = this.#options;
    signal.throwIfAborted();
    // What came ahead of that comes again.
    this.#held.drop(Math.ceil(this.#filled / this.#chunkBytes));
    const stream = await client.blob(repository, blob, {
      ...{ offset: this.#filled, signal },
    });
    if (blob.size <= PIECE_BYTES) await this.#small(stream, place);
    else await this.#stream(stream);
  }

  /** Takes a blob that is no larger than one piece. */
  async #small(
    stream: AsyncIterable<Uint8Array>,
    place: Disposable | null,
  ): Promise<void> {
    this.#look();
    const all = new Uint8Array(this.#options.blob.size);
    let at = 0;
    for await (const bytes of stream) {
      all.set(bytes, at);
      at += bytes.length;
      this.#came(bytes.length);
    }
    if (place === null) await this.#write(0, all);
    else {
      this.#signal.throwIfAborted();
      this.#held.hold(0, all, place);
    }
    this.#filled = at;
    this.#grown.wake();
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
      this.#came(bytes.length);
      this.#filled += bytes.length;
      this.#grown.wake();
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
    if (this.#filled > before) this.#grown.wake();
  }

  /** A Worker reads it from here on: it comes before layers that wait. */
  activate(): void {
    this.#isActive = true;
    this.#queued?.changed();
  }

  /**
   * The blob's bytes in order, as they come; only once, unless the file is kept. Their memory is the reader's, who may
   * `give` it back. @throws as `done`
   */
  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    const { blob: { size }, path } = this.#options;
    this.activate();
    let file: Deno.FsFile | null = null;
    try {
      for (let at = 0; at < size;) {
        await this.#reached(at + 1);
        const chunk = Math.floor(at / this.#chunkBytes);
        const held = this.#held.take(chunk, at - chunk * this.#chunkBytes);
        if (held === null) file ??= await Deno.open(path);
        const { bytes, place } = held ??
          { bytes: await this.#readFile(file!, at), place: null };
        at += bytes.length;
        const sinceMs = performance.now();
        try {
          yield bytes;
        } finally {
          place?.[Symbol.dispose]();
        }
        this.#readBytes = Math.max(this.#readBytes, at);
        this.#readRate.add(bytes.length, performance.now() - sinceMs);
      }
    } finally {
      file?.close();
    }
    await this.#done;
  }

  /** Waits for the first byte, if there is one. @throws as `done` */
  async begun(): Promise<void> {
    await this.#reached(Math.min(1, this.sizeBytes));
  }

  async #reached(bytes: number): Promise<void> {
    while (this.#filled < bytes) {
      this.#waitsSinceMs ??= performance.now();
      await this.#grown.next;
    }
    this.#waitsSinceMs = null;
  }

  /** For how long whoever reads has waited for a byte, ms. */
  get waitsMs(): number {
    return performance.now() - (this.#waitsSinceMs ?? performance.now());
  }

  async #readFile(
    file: Deno.FsFile,
    at: number,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { gates, path } = this.#options;
    const chunkEnd = (Math.floor(at / this.#chunkBytes) + 1) * this.#chunkBytes;
    const end = Math.min(this.#filled, chunkEnd);
    const piece = gates.take(Math.min(PIECE_BYTES, end - at));
    file.seekSync(at, Deno.SeekMode.Start);
    const read = await file.read(piece);
    if (read === null) throw new Error(`${path} was cut off`);
    return piece.subarray(0, read);
  }

  /** Ends it, if it has not ended. The file, where there is one, stays. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the download is of no use any more"));
    this.#held.drop(0);
    this.#use[Symbol.dispose]();
  }
}
