import {
  closeFd,
  dataSync,
  dataSyncElsewhere,
  fileSize,
  O,
  openFd,
} from "../../host/os/mod.ts";
import { preadFully, pwriteFully, truncateFd } from "../../host/os/mod.ts";
import { MISSING, PRESENT, WATCHED } from "../presence/mod.ts";

const MAGIC = 0x50414d53; // "SMAP"
const VERSION = 1;
const HEADER_BYTES = 64;
const BOOT_ID_AT = 16;
const BOOT_ID_BYTES = 36;

/** In the file: the span's bytes were written. The page cache holds them until a reboot. */
const WRITTEN = 1;
/** In the file: the span's bytes were on disk before this mark was. */
const SYNCED = 2;
/** In memory only: WRITTEN, and a running sync covers it. */
const SYNCING = 3;

/**
 * The durable list of present spans of one layer: a 64-byte header (magic, version, count, boot ID)
 * and one byte per span.
 *
 * Bytes are written before their span is marked, so after a crash of the daemon every mark is true.
 * After a crash of the machine the order of page write-back is unknown, so marks of another boot
 * count only if they were made after an fdatasync of the data (`SYNCED`). When a span is evicted,
 * its mark is removed durably before its bytes are.
 */
export class SpanMap implements Disposable {
  readonly #fd: number;
  readonly #byte = new Uint8Array(1);
  readonly #marks: Uint8Array<ArrayBuffer>;
  #syncing: Promise<void> = Promise.resolve();
  #frozen = false;
  #closed = false;

  private constructor(
    fd: number,
    marks: Uint8Array<ArrayBuffer>,
    /** Presence bytes, shared with the readers of the data file; written only here. */
    readonly presence: Uint8Array,
  ) {
    this.#fd = fd;
    this.#marks = marks;
  }

  /**
   * Opens or makes the map at `path` and sets `presence` from it.
   * @param options.trusted false when the data file was just made: then nothing is present.
   * @throws OsError
   */
  static open(
    path: string,
    presence: Uint8Array,
    options: { bootId: string; trusted: boolean },
  ): SpanMap {
    const fd = openFd(path, O.RDWR | O.CREAT);
    try {
      const bytes = readTrusted(fd, presence.length, options);
      const marks = bytes.slice(HEADER_BYTES);
      marks.forEach((mark, span) =>
        Atomics.store(presence, span, mark === 0 ? MISSING : PRESENT)
      );
      truncateFd(fd, bytes.length);
      pwriteFully(fd, bytes, 0);
      return new SpanMap(fd, marks, presence);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  /**
   * Marks a span whose bytes are in the data file.
   * @throws OsError when the mark cannot be made durable; the span is still present.
   */
  mark(span: number): void {
    this.#marks[span] = WRITTEN;
    Atomics.store(this.presence, span, PRESENT);
    this.#byte[0] = WRITTEN;
    pwriteFully(this.#fd, this.#byte, HEADER_BYTES + span);
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
      this.#byte[0] = 0;
      pwriteFully(this.#fd, this.#byte, HEADER_BYTES + span);
    }
    // Marks that are only WRITTEN do not count after a reboot, so they need not be removed durably.
    if (durable) await dataSyncElsewhere(this.#fd);
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
    pwriteFully(this.#fd, marks, HEADER_BYTES);
    await dataSyncElsewhere(this.#fd);
  }

  /** A blocking `sync`, for the end of the process. @throws OsError */
  syncNow(dataFd: number): void {
    if (!this.#marks.some((mark) => mark === WRITTEN || mark === SYNCING)) {
      return;
    }
    dataSync(dataFd);
    replace(this.#marks, SYNCING, SYNCED);
    replace(this.#marks, WRITTEN, SYNCED);
    pwriteFully(this.#fd, this.#marks, HEADER_BYTES);
    dataSync(this.#fd);
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
    closeFd(this.#fd);
  }

  /** Closes the file; no sync may be running. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFd(this.#fd);
  }
}

function replace(marks: Uint8Array, from: number, to: number): void {
  for (let span = 0; span < marks.length; span++) {
    if (marks[span] === from) marks[span] = to;
  }
}

/** The contents to start with: only marks that can be trusted, and the ID of this boot. */
function readTrusted(
  fd: number,
  count: number,
  { bootId, trusted }: { bootId: string; trusted: boolean },
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + count);
  const whole = fileSize(fd) === bytes.length &&
    preadFully(fd, bytes, 0) === bytes.length;
  const view = new DataView(bytes.buffer);
  const ours = whole && trusted &&
    view.getUint32(0, true) === MAGIC &&
    view.getUint32(4, true) === VERSION &&
    view.getUint32(8, true) === count;
  const boot = new TextDecoder().decode(
    bytes.subarray(BOOT_ID_AT, BOOT_ID_AT + BOOT_ID_BYTES),
  );
  const sameBoot = ours && boot === bootId;
  for (let at = HEADER_BYTES; at < bytes.length; at++) {
    const mark = ours ? bytes[at] : 0;
    const holds = mark === SYNCED || (sameBoot && mark === WRITTEN);
    if (!holds) bytes[at] = 0;
  }
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, count, true);
  bytes.set(
    new TextEncoder().encode(bootId).subarray(0, BOOT_ID_BYTES),
    BOOT_ID_AT,
  );
  return bytes;
}
