import { dataSync, dataSyncElsewhere } from "../../host/os/mod.ts";
import { tellStateDamage } from "../../telemetry/mod.ts";
import { MapFile } from "./map_file.ts";
import { MISSING, PRESENT, UNCHECKED, WATCHED } from "../presence/mod.ts";

/** In memory: the span's bytes were written. The page cache holds them until a reboot. */
const WRITTEN = 1;
/** In memory: the span's bytes were on disk before this was. */
const SYNCED = 2;
/** In memory only: WRITTEN, and a running sync covers it. */
const SYNCING = 3;

/** What a map is opened with. */
export interface SpanMapOptions {
  /** Of this run of the machine. */
  readonly bootId: string;
  /** False when the data file was just made: then nothing is present. */
  readonly trusted: boolean;
  /** Names the layer that the map is of: the map of another one is damage. */
  readonly owner?: string;
}

/**
 * The durable list of present spans of one layer: a header and one mark per span (`map_file.ts`), with
 * the checksum of the span's bytes. Header and marks prove themselves.
 *
 * What an earlier process marked is `UNCHECKED` until its bytes were compared with that checksum.
 *
 * Bytes are written before their span is marked, so after a crash of the daemon every mark is true.
 * After a crash of the machine the order of page write-back is unknown, so marks of another boot
 * count only if they were made after an fdatasync of the data (`SYNCED`). When a span is evicted,
 * its mark is removed durably before its bytes are.
 *
 * If one mark was never written here, no mark is believed: whatever changed it may have changed others.
 * On a read-only disk the map is used as it is, and new marks are kept in memory only.
 */
export class SpanMap implements Disposable {
  readonly #file: MapFile;
  readonly #marks: Uint8Array<ArrayBuffer>;
  readonly #sums: Uint32Array<ArrayBuffer>;
  #syncing: Promise<void> = Promise.resolve();
  #frozen = false;
  #closed = false;

  private constructor(
    file: MapFile,
    marks: Uint8Array<ArrayBuffer>,
    sums: Uint32Array<ArrayBuffer>,
    /** Presence bytes, shared with the readers of the data file; written only here. */
    readonly presence: Uint8Array,
    /** How it came out of its file. */
    readonly found: "whole" | "new" | "damaged",
  ) {
    this.#file = file;
    this.#marks = marks;
    this.#sums = sums;
  }

  /**
   * Opens or makes the map at `path` and sets `presence` from it.
   * @throws OsError
   */
  static open(
    path: string,
    presence: Uint8Array,
    { bootId, trusted, owner = "" }: SpanMapOptions,
  ): SpanMap {
    const { file, states, sums, sameBoot, found } = MapFile.open(path, {
      count: presence.length,
      bootId,
      owner,
      trusted,
    });
    const marks = states.map((state) =>
      state === SYNCED || (sameBoot && state === WRITTEN) ? state : 0
    );
    marks.forEach((mark, span) =>
      Atomics.store(presence, span, mark === 0 ? MISSING : UNCHECKED)
    );
    try {
      file.settle(marks, sums);
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
    if (found === "damaged") {
      tellStateDamage({
        path,
        found: "its checksum or a mark in it is another one",
        then: "nothing of the layer's cache is believed: it is fetched again",
      });
    }
    return new SpanMap(file, marks, sums, presence, found);
  }

  /**
   * Marks a span whose bytes are in the data file.
   * @param sum their CRC-32.
   * @throws OsError when the mark cannot be made durable; the span is still present.
   */
  mark(span: number, sum: number): void {
    this.#marks[span] = WRITTEN;
    this.#sums[span] = sum;
    Atomics.store(this.presence, span, PRESENT);
    this.#file.put(span, WRITTEN, sum);
  }

  /** Whether the bytes of a span that an earlier process left have the CRC-32 that they had. */
  isAsWritten(span: number, sum: number): boolean {
    const written = this.#sums[span];
    // A release before checksums wrote it: it is believed once more.
    return written === 0 || written === sum;
  }

  /**
   * A span that an earlier process left was found to be as it was written.
   * @param sum CRC-32 of its bytes.
   * @throws OsError when that cannot be written down; the span is still present.
   */
  confirm(span: number, sum: number): void {
    Atomics.compareExchange(this.presence, span, UNCHECKED, PRESENT);
    if (this.#sums[span] === sum) return;
    this.#sums[span] = sum;
    const mark = this.#marks[span];
    this.#file.put(span, mark === SYNCED ? SYNCED : WRITTEN, sum);
  }

  /**
   * Marks spans missing, at once. Their bytes may be destroyed when this resolves.
   * @throws OsError: then their bytes must stay.
   */
  async clear(spans: readonly number[]): Promise<void> {
    for (const span of spans) Atomics.store(this.presence, span, MISSING);
    let durable = false;
    for (const span of spans) {
      durable ||= this.#marks[span] !== WRITTEN;
      this.#marks[span] = 0;
      this.#file.put(span, 0, 0);
    }
    // Marks that were never said to outlive the machine need not be taken back durably.
    if (durable) await this.#file.sync();
  }

  /** Whether a span is present. */
  has(span: number): boolean {
    return Atomics.load(this.presence, span) !== MISSING;
  }

  /** Makes the next reader of a present span ask for it. */
  watch(span: number): void {
    Atomics.compareExchange(this.presence, span, PRESENT, WATCHED);
  }

  /** Ends `watch`. Returns whether the span was watched. */
  unwatch(span: number): boolean {
    return Atomics.compareExchange(this.presence, span, WATCHED, PRESENT) ===
      WATCHED;
  }

  /** Number of present spans. */
  get presentCount(): number {
    return this.presence.reduce(
      (sum, mark) => sum + (mark === MISSING ? 0 : 1),
      0,
    );
  }

  /**
   * Makes all marks that exist now survive a power loss: syncs the data, then the marks. Both
   * descriptors must stay open until this resolves. @throws OsError
   */
  sync(dataFd: number): Promise<void> {
    const syncing = this.#syncing.then(() => this.#sync(dataFd));
    this.#syncing = syncing.catch(() => {}); // reported to this caller, not to the next one
    return syncing;
  }

  async #sync(dataFd: number): Promise<void> {
    const marks = this.#marks;
    if (this.#frozen || !marks.includes(WRITTEN)) return;
    replace(marks, WRITTEN, SYNCING);
    try {
      await dataSyncElsewhere(dataFd);
    } catch (error) {
      replace(marks, SYNCING, WRITTEN);
      throw error;
    }
    // Spans that were evicted meanwhile are no longer SYNCING, even if they have arrived again.
    replace(marks, SYNCING, SYNCED);
    if (this.#frozen) return;
    this.#file.putAll(marks, this.#sums);
    await this.#file.sync();
  }

  /** A blocking `sync`, for the end of the process. @throws OsError */
  syncNow(dataFd: number): void {
    if (!this.#marks.some((mark) => mark === WRITTEN || mark === SYNCING)) {
      return;
    }
    dataSync(dataFd);
    replace(this.#marks, SYNCING, SYNCED);
    replace(this.#marks, WRITTEN, SYNCED);
    this.#file.putAll(this.#marks, this.#sums);
    this.#file.syncNow();
  }

  /** Stops all writes to the file, so that another map may be opened over it. */
  freeze(): void {
    this.#frozen = true;
  }

  /** Closes the file after a running sync. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = this.#frozen = true;
    await this.#syncing;
    this.#file[Symbol.dispose]();
  }

  /** Closes the file; no sync may be running. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#file[Symbol.dispose]();
  }
}

function replace(marks: Uint8Array, from: number, to: number): void {
  for (let span = 0; span < marks.length; span++) {
    if (marks[span] === from) marks[span] = to;
  }
}
