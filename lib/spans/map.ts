import { closeFd, dataSync, fileSize, O, openFd } from "../os/mod.ts";
import { preadFully, pwriteFully, truncateFd } from "../os/mod.ts";

const MAGIC = 0x50414d53; // "SMAP"
const VERSION = 1;
const HEADER_BYTES = 64;
const BOOT_ID_AT = 16;
const BOOT_ID_BYTES = 36;

/** In the file: the span's bytes were written, and the page cache vouches for them until a reboot. */
const WRITTEN = 1;
/** In the file: the span's bytes were on disk before this was. */
const SYNCED = 2;

/**
 * The durable list of present spans of one layer: a 64-byte header (magic, version, count, boot ID)
 * and one byte a span.
 *
 * Bytes are written before their span is marked, so after a crash of the daemon every mark holds.
 * After a crash of the machine the order of page write-back is unknown: marks of another boot count
 * only when they were made after an fdatasync of the data (`SYNCED`).
 */
export class SpanMap implements Disposable {
  readonly #fd: number;
  readonly #byte = new Uint8Array(1);

  private constructor(
    fd: number,
    /** One byte a span, 1 when present; shared with the readers of the data file. */
    readonly presence: Uint8Array,
  ) {
    this.#fd = fd;
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
    const map = new SpanMap(fd, presence);
    const size = HEADER_BYTES + presence.length;
    const bytes = new Uint8Array(size);
    const whole = fileSize(fd) === size && preadFully(fd, bytes, 0) === size;
    const view = new DataView(bytes.buffer);
    const ours = whole && options.trusted &&
      view.getUint32(0, true) === MAGIC &&
      view.getUint32(4, true) === VERSION &&
      view.getUint32(8, true) === presence.length;
    const boot = new TextDecoder().decode(
      bytes.subarray(BOOT_ID_AT, BOOT_ID_AT + BOOT_ID_BYTES),
    );
    const sameBoot = ours && boot === options.bootId;
    for (let span = 0; span < presence.length; span++) {
      const mark = ours ? bytes[HEADER_BYTES + span] : 0;
      const holds = mark === SYNCED || (sameBoot && mark === WRITTEN);
      if (!holds) bytes[HEADER_BYTES + span] = 0;
      Atomics.store(presence, span, holds ? 1 : 0);
    }
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setUint32(8, presence.length, true);
    bytes.set(
      new TextEncoder().encode(options.bootId).subarray(0, BOOT_ID_BYTES),
      BOOT_ID_AT,
    );
    truncateFd(fd, size);
    pwriteFully(fd, bytes, 0);
    return map;
  }

  /** Marks a span whose bytes are in the data file. @throws OsError */
  mark(span: number): void {
    this.#byte[0] = WRITTEN;
    pwriteFully(this.#fd, this.#byte, HEADER_BYTES + span);
    Atomics.store(this.presence, span, 1);
  }

  /** Whether a span is present. */
  has(span: number): boolean {
    return Atomics.load(this.presence, span) === 1;
  }

  /** Number of present spans. */
  get presentCount(): number {
    return this.presence.reduce((sum, mark) => sum + (mark === 1 ? 1 : 0), 0);
  }

  /** Makes all present marks outlive the machine: syncs the data, then the marks. @throws OsError */
  sync(dataFd: number): void {
    const present = Uint8Array.from(
      this.presence,
      (mark) => mark === 1 ? SYNCED : 0,
    );
    dataSync(dataFd);
    pwriteFully(this.#fd, present, HEADER_BYTES);
    dataSync(this.#fd);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}
