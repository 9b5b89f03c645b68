/**
 * The file of a span map. Little-endian:
 *
 * | bytes | what |
 * |---|---|
 * | 0–15 | magic, version, number of spans, salt, as u32 |
 * | 16–51 | boot ID of the run of the machine that wrote it |
 * | 60–63 | CRC-32 of all before it and of the owner's name |
 * | 64– | two u32 a span: CRC-32 of its bytes (0: not known), and 0 or a word made of salt, span, state and CRC |
 *
 * A mark is eight aligned bytes and written at once, so a process that is killed leaves the old one or the new one.
 * No other value is a mark: one that is found was made by a disk, or by somebody.
 * @module
 */
import { crc32 } from "node:zlib";
import {
  closeFd,
  dataSync,
  dataSyncElsewhere,
  ERRNO,
  fileSize,
  O,
  openFd,
  OsError,
  preadFully,
  pwriteFully,
  truncateFd,
} from "../../host/os/mod.ts";

const MAGIC = 0x50414d53; // "SMAP"
const VERSION = 3;
/** Older ones, which are read once and written anew: bytes a span. None has checksums of spans. */
const OLDER_VERSIONS: ReadonlyMap<number, number> = new Map([[1, 1], [2, 4]]);
const HEADER_BYTES = 64;
const MARK_BYTES = 8;
const SALT_AT = 12;
const BOOT_ID_AT = 16;
const BOOT_ID_BYTES = 36;
const CHECKSUM_AT = 60;
/** States a file can hold, beside 0. */
const STATES = [1, 2] as const;

/** How the map came out of its file. */
export type MapFinding =
  /** Believed, but for marks of another run of the machine that were never synced. */
  | "whole"
  /** There was none, or the data file is a new one. */
  | "new"
  /** Something in it is not what was written: no mark of it is believed. */
  | "damaged";

/** What a file must be of to be believed. */
export interface MapFileOptions {
  /** Spans. */
  readonly count: number;
  /** Of this run of the machine. */
  readonly bootId: string;
  /** Layer and data file, by any name that no other has. */
  readonly owner: string;
  /** Whether there is anything that marks could be of. */
  readonly trusted: boolean;
}

/** A file and what it says. */
export interface ReadMap {
  readonly file: MapFile;
  /** By span: 0, 1 or 2. */
  readonly states: Uint8Array<ArrayBuffer>;
  /** By span: CRC-32 of its bytes in the data file; 0: not known. */
  readonly sums: Uint32Array<ArrayBuffer>;
  /** Whether it was written in this run of the machine. */
  readonly sameBoot: boolean;
  readonly found: MapFinding;
}

/** A span map's file, open; where nothing can be written it takes everything and keeps nothing. */
export class MapFile implements Disposable {
  readonly #fd: number;
  readonly #isWritable: boolean;
  readonly #options: MapFileOptions;
  readonly #mark = new Uint32Array(2);
  readonly #markBytes = new Uint8Array(this.#mark.buffer);
  #salt = 0;
  /** The states that the file is known to say; null: it is to be written anew. */
  #said: Uint8Array | null = null;

  private constructor(
    fd: number,
    access: "written" | "read",
    options: MapFileOptions,
  ) {
    this.#fd = fd;
    this.#isWritable = access === "written";
    this.#options = options;
  }

  /** Opens the file, and makes it where it can be made. @throws OsError */
  static open(path: string, options: MapFileOptions): ReadMap {
    let fd: number;
    let access: "written" | "read" = "written";
    try {
      fd = openFd(path, O.RDWR | O.CREAT);
    } catch (error) {
      if (!(error instanceof OsError) || error.errno !== ERRNO.EROFS) {
        throw error;
      }
      fd = openFd(path, O.RDONLY);
      access = "read";
    }
    const file = new MapFile(fd, access, options);
    try {
      return { file, ...file.#read() };
    } catch (error) {
      closeFd(fd);
      throw error;
    }
  }

  #read(): Omit<ReadMap, "file"> {
    const { count, bootId, trusted } = this.#options;
    const nothing = (found: MapFinding) => ({
      states: new Uint8Array(count),
      sums: new Uint32Array(count),
      sameBoot: false,
      found,
    });
    const size = fileSize(this.#fd);
    if (size === 0 || !trusted) return nothing("new");
    const bytes = new Uint8Array(HEADER_BYTES + MARK_BYTES * count);
    const view = new DataView(bytes.buffer);
    const read = preadFully(this.#fd, bytes, 0);
    if (read < HEADER_BYTES || view.getUint32(0, true) !== MAGIC) {
      return nothing("damaged");
    }
    const version = view.getUint32(4, true);
    const markBytes = version === VERSION
      ? MARK_BYTES
      : OLDER_VERSIONS.get(version);
    if (markBytes === undefined) return nothing("new");
    if (
      view.getUint32(8, true) !== count ||
      size !== HEADER_BYTES + markBytes * count || read < size ||
      (version > 1 && view.getUint32(CHECKSUM_AT, true) !== this.#sum(bytes))
    ) return nothing("damaged");
    const boot = new TextDecoder().decode(
      bytes.subarray(BOOT_ID_AT, BOOT_ID_AT + BOOT_ID_BYTES),
    );
    const states = new Uint8Array(count);
    const sums = new Uint32Array(count);
    this.#salt = view.getUint32(SALT_AT, true);
    for (let span = 0; span < count; span++) {
      const at = HEADER_BYTES + markBytes * span;
      const sum = version === VERSION ? view.getUint32(at, true) : 0;
      const wordAt = at + markBytes - 4;
      const state = version === 1
        ? bytes[at]!
        : this.#stateOf(span, sum, view.getUint32(wordAt, true));
      if (state > STATES.length) return nothing("damaged");
      states[span] = state;
      sums[span] = sum;
    }
    const sameBoot = boot === bootId;
    if (sameBoot && version === VERSION) this.#said = states.slice();
    return { states, sums, sameBoot, found: "whole" };
  }

  /** @returns beyond the states: the word is none of ours. */
  #stateOf(span: number, sum: number, word: number): number {
    if (word === 0 && sum === 0) return 0;
    for (const state of STATES) {
      if (word === this.#wordOf(span, state, sum)) return state;
    }
    return STATES.length + 1;
  }

  #wordOf(span: number, state: number, sum: number): number {
    if (state === 0) return 0;
    let word = this.#salt ^ Math.imul(span + 1, 0x9e3779b1) ^
      Math.imul(state, 0x85ebca77) ^ sum;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    word = (word ^ (word >>> 16)) >>> 0;
    return word === 0 ? 1 : word;
  }

  #sum(bytes: Uint8Array): number {
    const owner = new TextEncoder().encode(this.#options.owner);
    return crc32(owner, crc32(bytes.subarray(0, CHECKSUM_AT))) >>> 0;
  }

  /** Has the file say these states, and that they are of this boot; writes what it does not say yet. @throws OsError */
  settle(states: Uint8Array, sums: Uint32Array): void {
    if (this.#said !== null && states.every((s, i) => s === this.#said![i])) {
      return;
    }
    if (!this.#isWritable) return;
    const { count, bootId } = this.#options;
    const bytes = new Uint8Array(HEADER_BYTES + MARK_BYTES * count);
    const view = new DataView(bytes.buffer);
    this.#salt = crypto.getRandomValues(new Uint32Array(1))[0]!;
    view.setUint32(0, MAGIC, true);
    view.setUint32(4, VERSION, true);
    view.setUint32(8, count, true);
    view.setUint32(SALT_AT, this.#salt, true);
    bytes.set(
      new TextEncoder().encode(bootId).subarray(0, BOOT_ID_BYTES),
      BOOT_ID_AT,
    );
    view.setUint32(CHECKSUM_AT, this.#sum(bytes), true);
    bytes.set(this.#marks(states, sums), HEADER_BYTES);
    truncateFd(this.#fd, bytes.length);
    pwriteFully(this.#fd, bytes, 0);
  }

  #marks(states: Uint8Array, sums: Uint32Array): Uint8Array<ArrayBuffer> {
    const marks = new Uint32Array(2 * states.length);
    for (let span = 0; span < states.length; span++) {
      this.#fill(marks, 2 * span, span, states[span]!, sums[span]!);
    }
    return new Uint8Array(marks.buffer);
  }

  #fill(
    marks: Uint32Array,
    at: number,
    span: number,
    state: number,
    sum: number,
  ): void {
    marks[at] = state === 0 ? 0 : sum;
    marks[at + 1] = this.#wordOf(span, state, sum);
  }

  /** Says a span's state, and the CRC-32 of its bytes. @throws OsError */
  put(span: number, state: number, sum: number): void {
    if (!this.#isWritable) return;
    this.#fill(this.#mark, 0, span, state, sum);
    pwriteFully(this.#fd, this.#markBytes, HEADER_BYTES + MARK_BYTES * span);
  }

  /** Says the states of all spans, and their checksums. @throws OsError */
  putAll(states: Uint8Array, sums: Uint32Array): void {
    if (!this.#isWritable) return;
    pwriteFully(this.#fd, this.#marks(states, sums), HEADER_BYTES);
  }

  /** Puts what was said on disk while this thread goes on. @throws OsError */
  async sync(): Promise<void> {
    if (this.#isWritable) await dataSyncElsewhere(this.#fd);
  }

  /** Puts what was said on disk. @throws OsError */
  syncNow(): void {
    if (this.#isWritable) dataSync(this.#fd);
  }

  /** Closes the file; no sync may be running. */
  [Symbol.dispose](): void {
    closeFd(this.#fd);
  }
}
