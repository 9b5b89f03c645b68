import { logger } from "../../telemetry/mod.ts";
import {
  FileError,
  removeIfThere,
  statIfThere,
  writeAllSync,
} from "../../host/files/mod.ts";
import { fileSystemUse } from "../../host/os/mod.ts";

const log = logger("images");
/** Some hundred transactions of state, and their logs. */
const RESERVE_BYTES = 4 * 2 ** 20;
/** With less than that free, a start gives it up. */
const ENOUGH_BYTES = 2 ** 20;
/** What a start may write: the databases' logs and their indexes. */
const START_BYTES = 256 * 1024;
/** It is made anew when so much more is free, as others need room, too. */
const ROOM_BYTES = 16 * 2 ** 20;
/** How often it is tried to make it anew, ms. */
const AGAIN_MS = 5_000;
/** The most `getRandomValues` gives at once. */
const PART_BYTES = 65_536;

/**
 * Disk that is set aside, `<root>/reserve`, so that state can be written, and images removed, when nothing is free.
 * It is given up for a write or a start that needs it, and what is left of it is taken back at once. Until it is whole
 * again caches take nothing of the disk.
 *
 * ```text
 *             disk full, state is to be written            written
 * whole, part ─────────────────────────────────► given up ─────────► part ──there is room──► whole
 * ```
 */
export class DiskReserve {
  /** Those of this process that are not whole since they were given up. */
  static readonly #spent = new Set<string>();
  readonly #root: string;
  readonly #path: string;
  #triedAt = -Infinity;

  /** Does nothing yet. @param root the folder of all state. */
  constructor(root: string) {
    this.#root = root;
    this.#path = `${root}/reserve`;
  }

  /** What it holds now. */
  get bytes(): number {
    return statIfThere(this.#path)?.size ?? 0;
  }

  /** Whether a start finds room for what it writes: free, or set aside. On a read-only disk it writes nothing. */
  get hasRoom(): boolean {
    return this.bytes + this.#freeBytes() >= START_BYTES ||
      fileSystemUse(this.#root).readOnly;
  }

  /** Gives it up for state that is to be written. @returns false when there was none, or it cannot be. */
  giveUp(): boolean {
    try {
      if (!removeIfThere(this.#path)) return false;
    } catch (error) {
      if (error instanceof FileError) return false;
      throw error;
    }
    if (!DiskReserve.#spent.has(this.#path)) {
      log.warn("the disk is full: caches are not written, so that state is", {
        path: this.#path,
      });
    }
    DiskReserve.#spent.add(this.#path);
    return true;
  }

  /**
   * Gives it up when the disk is as good as full: for a start, or something else that must not fail half-way.
   * @param bytes that are to be written beyond what a start writes. It is not given up for more than fits beside that:
   * state would find nothing.
   */
  prepare(bytes = 0): void {
    const free = this.#freeBytes();
    const needed = ENOUGH_BYTES + bytes;
    if (free >= needed) return;
    if (bytes === 0 || free + this.bytes >= needed) this.giveUp();
  }

  /** How many bytes are missing for so many of state, counting what it holds: see `prepare`. */
  missing(bytes: number): number {
    return Math.max(0, ENOUGH_BYTES + bytes - this.#freeBytes() - this.bytes);
  }

  /** Bytes that are free beside it. */
  get freeBytes(): number {
    return this.#freeBytes();
  }

  /** Takes back what is left of one that was given up: what it was given up for is written. */
  takeBack(): void {
    if (DiskReserve.#spent.has(this.#path) && this.bytes === 0) this.#fill();
  }

  /** Makes it whole when there is room, looking now and then. @returns whether it is. */
  restore(): boolean {
    const now = performance.now();
    if (now - this.#triedAt < AGAIN_MS) return false;
    this.#triedAt = now;
    if (
      this.bytes < RESERVE_BYTES &&
      this.#freeBytes() >= RESERVE_BYTES + ROOM_BYTES
    ) this.#fill();
    if (this.bytes < RESERVE_BYTES) return false;
    DiskReserve.#spent.delete(this.#path);
    return true;
  }

  /** Whether a cache may take room: not before it is whole again. */
  get cachesMayGrow(): boolean {
    return !DiskReserve.#spent.has(this.#path) || this.restore();
  }

  /** Makes it as large as it should be, or as it can be. */
  #fill(): void {
    try {
      using file = Deno.openSync(this.#path, {
        append: true,
        create: true,
        mode: 0o600,
      });
      const part = new Uint8Array(PART_BYTES);
      for (let at = this.bytes; at < RESERVE_BYTES; at += PART_BYTES) {
        crypto.getRandomValues(part); // takes its room on every file system
        writeAllSync(file, part);
      }
    } catch (error) {
      // The disk is full, or takes nothing at all. What is not there is seen when it is needed.
      log.debug("no reserve, or a small one", { error: String(error) });
    }
  }

  #freeBytes(): number {
    const { blocksFree, blockSizeBytes } = fileSystemUse(this.#root);
    return blocksFree * blockSizeBytes;
  }
}
