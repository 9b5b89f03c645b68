import { writeAll } from "../../host/files/mod.ts";
import { closeFd, O, openFd, preadFully } from "../../host/os/mod.ts";
import {
  type Descriptor,
  type Digest,
  DigestStream,
} from "../../formats/oci/mod.ts";
import { NotYetHere } from "../../layers/spans/mod.ts";
import {
  type RegistryClient,
  RegistryError,
  type Repository,
} from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { ByteRanges } from "./byte_ranges.ts";
import { Wakeups } from "./wakeups.ts";
import type { WeightedSemaphore } from "./weighted_semaphore.ts";

const log = logger("images");
/** A read waits for bytes at most this far ahead; for others the caller must ask again later. */
const SOON_BYTES = 2 ** 20;
/** Bytes read at a time, so that other work gets its turn. */
const PIECE_BYTES = 2 ** 20;
/** How long a failed download rests before the next try, ms: at first, and at most. */
const FIRST_REST_MS = 1_000;
const LAST_REST_MS = 60_000;
/**
 * How long a file is kept after all of it was given, ms. Meanwhile the layer is verified as a
 * whole.
 */
const IDLE_MS = 5 * 60_000;

/** What a {@link WholeStream} needs. */
export interface WholeStreamOptions {
  readonly client: RegistryClient;
  readonly repository: Repository;
  readonly blob: Pick<Descriptor, "digest" | "size">;
  /** The folder of its file. */
  readonly folder: string;
  /** How many bytes that folder has room for. */
  readonly room: () => number;
  /** Bounds concurrent downloads. */
  readonly gate: WeightedSemaphore;
}

/** There is no room for a blob that can only be fetched whole. */
export class NoRoomError extends Error {
  override readonly name = "NoRoomError";
  constructor(
    readonly digest: Digest,
    readonly sizeBytes: number,
    readonly roomBytes: number,
  ) {
    super(
      `layer ${digest} must be taken whole, as its registry gives no parts: ${sizeBytes} bytes, and there is room for ${roomBytes}; free disk space below --root`,
    );
  }
}

/**
 * A blob of a registry that gives no ranges. It is downloaded once, from beginning to end, into an
 * unlinked file. A read of bytes that are in the file is answered at once. A read of the bytes that
 * come next waits for them. Any other read must be repeated later (`NotYetHere`).
 *
 * A download that breaks off is resumed by the next read after a rest. Its bytes are not trusted:
 * readers verify their spans, and a blob with another digest is not kept.
 */
export class WholeStream implements Disposable {
  readonly #options: WholeStreamOptions;
  readonly #stop = new AbortController();
  readonly #given = new ByteRanges();
  #digest = new DigestStream();
  #file: { readonly writer: Deno.FsFile; readonly fd: number } | null = null;
  #filled = 0;
  #running = false;
  #untouched = true;
  #failure: { readonly error: unknown; readonly untilMs: number } | null = null;
  #failures = 0;
  #lastArrivalMs = performance.now();
  #grown = new Wakeups();
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** Fetches nothing before the first read. */
  constructor(options: WholeStreamOptions) {
    this.#options = options;
  }

  /**
   * Whether no byte of the blob ever came. Then the blob itself may be refused, not only its
   * ranges.
   */
  get untouched(): boolean {
    return this.#untouched;
  }

  /** See `SpanSource.fetch`. @throws NotYetHere, RegistryError, NoRoomError, the signal's reason */
  async fetch(
    start: number,
    end: number,
    into: Uint8Array<ArrayBuffer>,
    signal: AbortSignal,
    onProgress?: (filled: number) => void,
  ): Promise<void> {
    this.#begin();
    if (start > this.#filled + SOON_BYTES) {
      throw new NotYetHere(
        (signal) => this.#reached(end, signal),
        () => this.#lastArrivalMs,
      );
    }
    for (let at = start; at < end;) {
      if (at >= this.#filled) await this.#reached(at + 1, signal);
      const to = Math.min(end, this.#filled, at + PIECE_BYTES);
      const part = into.subarray(at - start, to - start);
      if (preadFully(this.#file!.fd, part, at) < part.length) {
        throw new RangeError(`the file of ${this.#blob.digest} is cut off`);
      }
      at = to;
      onProgress?.(at - start);
      if (at < end) await Promise.resolve();
    }
    this.#gave(start, end);
  }

  get #blob() {
    return this.#options.blob;
  }

  /** Waits until the first `end` bytes are here. */
  async #reached(end: number, signal: AbortSignal): Promise<void> {
    while (this.#filled < end) {
      signal.throwIfAborted();
      this.#begin();
      await orAborted(this.#grown.next, signal);
    }
  }

  /** Starts downloading what is missing, unless that runs already. @throws the last try's error */
  #begin(): void {
    this.#stop.signal.throwIfAborted();
    if (this.#running || this.#filled === this.#blob.size) return;
    if (this.#failure !== null && performance.now() < this.#failure.untilMs) {
      throw this.#failure.error;
    }
    this.#running = true;
    this.#failure = null;
    this.#options.gate.run(1, () => this.#download()).then(
      () => this.#ended(null),
      (error) => this.#ended(error),
    );
  }

  #ended(error: unknown): void {
    this.#running = false;
    if (error === null) {
      this.#failures = 0;
      return this.#grown.wake();
    }
    const failed = this.#grown;
    this.#grown = new Wakeups(); // the next try may succeed
    const restMs = Math.min(LAST_REST_MS, FIRST_REST_MS * 2 ** this.#failures);
    this.#failures++;
    this.#failure = { error, untilMs: performance.now() + restMs };
    failed.fail(error);
    if (this.#stop.signal.aborted) return this.#close();
    log.warn("layer could not be taken whole, to be tried again", {
      layer: this.#blob.digest,
      bytes: this.#filled,
      restMs,
      error: String(error),
    });
  }

  async #download(): Promise<void> {
    const { client, repository, blob, room } = this.#options;
    const { signal } = this.#stop;
    signal.throwIfAborted();
    const missing = blob.size - this.#filled;
    const free = room();
    if (missing > free) throw new NoRoomError(blob.digest, missing, free);
    const file = this.#file ??= this.#open();
    const stream = await client.blob(repository, blob, {
      offset: this.#filled,
      signal,
    });
    this.#untouched = false;
    if (this.#filled === 0) {
      log.info("registry gives no parts of blobs, the layer is taken whole", {
        host: repository.host,
        repository: repository.repository,
        layer: blob.digest,
        bytes: blob.size,
      });
    }
    for await (const chunk of stream) {
      await writeAll(file.writer, chunk);
      this.#digest.update(chunk);
      this.#filled += chunk.length;
      this.#lastArrivalMs = performance.now();
      if (this.#filled < blob.size) this.#grown.wake();
    }
    const found = this.#digest.finish();
    if (found === blob.digest) return;
    this.#close();
    throw new RegistryError({
      kind: "integrity",
      host: repository.host,
      repository: repository.repository,
      detail: `the bytes of blob ${blob.digest} have digest ${found}`,
    });
  }

  #open() {
    const path = `${this.#options.folder}/whole-${crypto.randomUUID()}`;
    const writer = Deno.openSync(path, {
      createNew: true,
      write: true,
      mode: 0o600,
    });
    try {
      return { writer, fd: openFd(path, O.RDONLY) };
    } catch (error) {
      writer.close();
      throw error;
    } finally {
      Deno.removeSync(path); // so that a killed process leaves nothing behind
    }
  }

  #gave(start: number, end: number): void {
    this.#given.add(start, end);
    clearTimeout(this.#idle);
    const { size } = this.#blob;
    if (this.#filled < size || !this.#given.covers(0, size)) return;
    this.#idle = setTimeout(() => this.#close(), IDLE_MS);
    Deno.unrefTimer(this.#idle);
  }

  /** Closes the file: later reads download the blob again. */
  #close(): void {
    clearTimeout(this.#idle);
    if (this.#file !== null) {
      this.#file.writer.close();
      closeFd(this.#file.fd);
    }
    this.#file = null;
    this.#filled = 0;
    this.#digest = new DigestStream();
    this.#given.clear();
  }

  /** Ends the download; waiting reads get an error. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the layer is no longer served"));
    if (!this.#running) this.#close();
  }
}

/** Waits for a shared promise, but only until the signal aborts. */
function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    promise.then(resolve, reject).finally(() =>
      signal.removeEventListener("abort", leave)
    );
  });
}
