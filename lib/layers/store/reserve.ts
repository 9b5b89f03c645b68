import { logger } from "../../telemetry/mod.ts";
import {
  FileError,
  removeIfThere,
  statIfThere,
  writeWholeSync,
} from "../../host/files/mod.ts";
import { fileSystemUse } from "../../host/os/mod.ts";

const log = logger("images");
/** Some hundred transactions of state, and their logs. */
const RESERVE_BYTES = 4 * 2 ** 20;
/** Less than that is taken for a full disk. */
const ENOUGH_BYTES = 2 ** 20;
/** What a start may write: the databases' logs and their indexes. */
const START_BYTES = 256 * 1024;
/** The reserve is made when so much more is free, as others need room, too. */
const ROOM_BYTES = 16 * 2 ** 20;
/** How often it is tried to make it again, ms. */
const AGAIN_MS = 5_000;

/**
 * Disk that is set aside, `<root>/reserve`, so that state can be written, and images removed, when nothing is free.
 * Caches take nothing of a disk whose reserve is given up: it would be theirs.
 *
 * ```
 * whole ──disk full, state is to be written──► given up ──there is room──► whole
 * ```
 */
export class DiskReserve {
  /** Those of this process that were given up and are not there again. */
  static readonly #givenUp = new Set<string>();
  readonly #root: string;
  readonly #path: string;
  #triedAt = -Infinity;

  /** Does nothing yet. @param root the folder of all state. */
  constructor(root: string) {
    this.#root = root;
    this.#path = `${root}/reserve`;
  }

  /** Whether it is there. */
  get isWhole(): boolean {
    return statIfThere(this.#path)?.size === RESERVE_BYTES;
  }

  /** Gives it up for state that is to be written. @returns false when there was none, or it cannot be. */
  giveUp(): boolean {
    try {
      if (!removeIfThere(this.#path)) return false;
    } catch (error) {
      if (error instanceof FileError) return false;
      throw error;
    }
    DiskReserve.#givenUp.add(this.#path);
    log.warn(
      "the disk is full: the reserve is given up, caches are not written",
      {
        path: this.#path,
      },
    );
    return true;
  }

  /** Whether a start would find room for what it writes: free, or set aside. */
  get hasRoom(): boolean {
    return this.isWhole || this.#freeBytes() >= START_BYTES;
  }

  /** Gives it up when the disk is as good as full. For a start, which must not fail half-way. */
  prepare(): void {
    if (this.#freeBytes() < ENOUGH_BYTES) this.giveUp();
  }

  /** Makes it again when there is room, looking now and then. @returns whether it is there. */
  restore(): boolean {
    if (this.isWhole) return this.#isBack();
    const now = performance.now();
    if (now - this.#triedAt < AGAIN_MS) return false;
    this.#triedAt = now;
    if (this.#freeBytes() < RESERVE_BYTES + ROOM_BYTES) return false;
    try {
      writeWholeSync(this.#path, new Uint8Array(RESERVE_BYTES));
      return this.#isBack();
    } catch (error) {
      if (error instanceof FileError) return false; // somebody else was faster, or the disk is read-only
      throw error;
    }
  }

  /** Whether a cache may take room: not while the reserve is given up. */
  get cachesMayGrow(): boolean {
    return !DiskReserve.#givenUp.has(this.#path) || this.restore();
  }

  #isBack(): true {
    DiskReserve.#givenUp.delete(this.#path);
    return true;
  }

  #freeBytes(): number {
    const { blocksFree, blockSizeBytes } = fileSystemUse(this.#root);
    return blocksFree * blockSizeBytes;
  }
}
