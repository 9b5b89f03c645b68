import { DeferredReplies, INTERRUPT_BIT } from "../../host/fuse/mod.ts";
import { ERRNO, isBeingKilled } from "../../host/os/mod.ts";
import { type FailedReads, WaitingThread } from "./failed_reads.ts";
import {
  ReadTrace,
  type RequestRing,
  RING_INTERRUPT,
  RingItem,
} from "./shared/mod.ts";

/** How soon the kernel should repeat the interrupt of a request that has not reached us. */
const INTERRUPT_AGAIN_MS = 5;
/** How often a waiting reader is checked for being killed, ms. */
const KILL_POLL_MS = 50;

/** What a read needs of its layer. */
export interface ReadableLayer {
  /** Bytes of its data file. Its blob is longer: padded to whole blocks. */
  readonly dataBytes: number;
  readonly failed: FailedReads;
  readonly layer: {
    /** Resolves when the bytes are here; rejects when they cannot be fetched. */
    ensure(offset: number, length: number, signal: AbortSignal): Promise<void>;
    /** Copies bytes that are here; false when some were evicted again. */
    copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean;
  };
}

/** What the reads need. */
export interface DeferredReadsOptions {
  /** Where Workers put reads that they cannot answer. */
  readonly ring: RequestRing;
  /** The layer of a slot; undefined when it is not served any more. */
  readonly layerOf: (slot: number) => ReadableLayer | undefined;
  /** The descriptor of a mount by its number in ring items. */
  readonly descriptorOf: (mount: number) => number | undefined;
  /** Called when a read fails for good. */
  readonly onReadError: (slot: number, offset: number, error: unknown) => void;
  /** Called when a read was answered. @param atMs when it came here, see `TracedRead`. */
  readonly onWaited: (
    slot: number,
    offset: number,
    length: number,
    atMs: number,
  ) => void;
}

interface WaitingRead {
  readonly cancel: AbortController;
  readonly thread: number;
}

/**
 * Reads that the FUSE Workers could not answer because bytes were missing. A read waits here. It is
 * answered when its bytes arrive or fail to arrive, or when its thread is killed.
 *
 * ```text
 *            ┌──── gone again ─────┐
 *            ▼                     │
 * ring ──► waiting ──► bytes are here ──► copied, answered
 *            ├──► they cannot be had ───► EIO
 *            └──► its thread is killed ─► EINTR
 * ```
 */
export class DeferredReads {
  readonly #options: DeferredReadsOptions;
  readonly #replies = new DeferredReplies();
  /** By mount and unique. */
  readonly #waiting = new Map<string, WaitingRead>();
  #answers = true;

  /** Nothing is answered before {@linkcode DeferredReads.run}. */
  constructor(options: DeferredReadsOptions) {
    this.#options = options;
  }

  /** Answers until `stop` is called. */
  async run(): Promise<void> {
    const { ring } = this.#options;
    const item = new RingItem();
    while (this.#answers) {
      const seen = ring.doorbell();
      while (ring.take(item)) this.#take(item);
      await ring.changed(seen);
    }
  }

  /** Answers nothing more. Waiting reads keep waiting: the kernel resends them to a successor. */
  stop(): void {
    this.#answers = false;
    this.#options.ring.wake();
  }

  /** Like `stop`, and cancels the waits for bytes. */
  abandon(): void {
    this.stop();
    for (const { cancel } of this.#waiting.values()) cancel.abort();
  }

  #take(item: RingItem): void {
    const { mount, uniqueLo, uniqueHi, slot, offset, length } = item;
    const id = `${mount}/${uniqueHi}/${uniqueLo}`;
    if (item.kind === RING_INTERRUPT) {
      if (this.#waiting.has(id)) this.#interrupt(id);
      else this.#askInterruptAgain(mount, uniqueLo, uniqueHi);
      return;
    }
    const cancel = new AbortController();
    const again = Object.assign(new RingItem(), item);
    const atMs = ReadTrace.now();
    this.#waiting.set(id, { cancel, thread: item.thread });
    this.#fill(again, cancel.signal).then((result) => {
      this.#waiting.delete(id);
      const fd = this.#descriptorOf(mount);
      if (fd === undefined) return;
      const answer = result === 0
        ? this.#readInto(slot, offset, length)
        : result;
      if (answer === null) return this.#take(again);
      this.#replies.send(fd, uniqueLo, uniqueHi, answer);
      if (answer > 0) this.#options.onWaited(slot, offset, answer, atMs);
    });
  }

  /** The descriptor to answer on; undefined after `stop`. */
  #descriptorOf(mount: number): number | undefined {
    return this.#answers ? this.#options.descriptorOf(mount) : undefined;
  }

  /**
   * Ends a waiting read if its thread is being killed. For any other signal the read continues. The
   * kernel does not report a second signal, so the thread is polled.
   */
  #interrupt(id: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined || waiting.cancel.signal.aborted) return;
    if (isBeingKilled(waiting.thread)) {
      waiting.cancel.abort(); // answered -EINTR by `#take`
    } else setTimeout(() => this.#interrupt(id), KILL_POLL_MS);
  }

  /**
   * The interrupt may have overtaken its request, which another Worker still holds. EAGAIN makes the
   * kernel repeat the interrupt. If the request is answered by then, the kernel no longer knows it
   * (ENOENT), which is harmless.
   */
  #askInterruptAgain(mount: number, uniqueLo: number, uniqueHi: number): void {
    const again = setTimeout(() => {
      const fd = this.#descriptorOf(mount);
      if (fd === undefined) return;
      this.#replies.send(
        fd,
        (uniqueLo | INTERRUPT_BIT) >>> 0,
        uniqueHi,
        -ERRNO.EAGAIN,
      );
    }, INTERRUPT_AGAIN_MS);
    Deno.unrefTimer(again);
  }

  /** Fetches the bytes. Returns 0 when they are in the data file, else a negative errno. */
  async #fill(
    { slot, offset, length, thread }: RingItem,
    signal: AbortSignal,
  ): Promise<number> {
    const known = this.#options.layerOf(slot);
    if (known === undefined) return -ERRNO.ESTALE;
    if (known.failed.repeats(thread, offset, length, performance.now())) {
      return -ERRNO.EIO;
    }
    using waiting = new WaitingThread(thread);
    try {
      const held = Math.min(length, known.dataBytes - offset);
      await known.layer.ensure(offset, held, signal);
      return 0;
    } catch (error) {
      if (signal.aborted) return -ERRNO.EINTR;
      const waited = waiting.waitedAllTheTime();
      known.failed.add(thread, offset, length, waited, performance.now());
      this.#options.onReadError(slot, offset, error);
      return -ERRNO.EIO;
    }
  }

  /** Returns the number of bytes read, a negative errno, or null if they were evicted again. */
  #readInto(slot: number, offset: number, length: number): number | null {
    const known = this.#options.layerOf(slot);
    if (known === undefined) return -ERRNO.ESTALE;
    // Less than `length` only at a blob's end, where zeros pad the last block.
    const held = Math.min(length, known.dataBytes - offset);
    const { payload } = this.#replies;
    payload.fill(0, held, length);
    return known.layer.copy(offset, payload.subarray(0, held)) ? length : null;
  }
}
