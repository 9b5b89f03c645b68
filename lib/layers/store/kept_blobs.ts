import {
  bytesOnDisk,
  namesIn,
  removeIfThere,
  statIfThere,
} from "../../host/files/mod.ts";
import { logger } from "../../telemetry/mod.ts";

const log = logger("images");
const KEPT = /^blob-([0-9a-f]{64})(\.parts)?$/;
/** So long a blob that nobody goes on from is kept for the next try, ms. */
export const KEPT_UNUSED_MS = 30 * 60_000;
/** How often they are looked at, ms. */
const LOOK_MS = 60_000;

/** Path of a kept blob. @param name 64 hexadecimal digits: which layer it is, and for whom. */
function keptBlobPath(folder: string, name: string): string {
  return `${folder}/blob-${name}`;
}

/** Whether a file's name is that of a kept blob, or of what goes with it. */
export function isKeptBlob(name: string): boolean {
  return KEPT.test(name);
}

/** A blob that is in use. */
export interface TakenBlob extends Disposable {
  /** Where its file is, or will be. */
  readonly path: string;
}

/** When a blob was seen as it is now. */
interface Seen {
  /** Sizes and times of its files. */
  readonly state: string;
  readonly sinceMs: number;
}

/**
 * Blobs of layers on their way, in the folder of what is not done: where they are kept, a process that was killed leaves
 * them to the next one. One that nobody goes on from goes half an hour after this process saw it change for the last
 * time, whatever the clock says, or sooner where others need its room.
 */
export class KeptBlobs implements Disposable {
  readonly #folder: string;
  readonly #unusedMs: number;
  readonly #lookMs: number;
  readonly #taken = new Set<string>();
  #seen = new Map<string, Seen>();
  #timer: ReturnType<typeof setInterval> | undefined;

  /**
   * Removes nothing before `start`.
   * @param folder of what is not done.
   * @param times how long a blob is kept, and how often it is looked at, ms. Default: half an hour, and a minute.
   */
  constructor(
    folder: string,
    times: { readonly unusedMs?: number; readonly lookMs?: number } = {},
  ) {
    this.#folder = folder;
    this.#unusedMs = times.unusedMs ?? KEPT_UNUSED_MS;
    this.#lookMs = times.lookMs ?? LOOK_MS;
  }

  /** Looks now, and again and again from now on. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.look();
    this.#timer = setInterval(() => this.look(), this.#lookMs);
    Deno.unrefTimer(this.#timer);
  }

  /** Uses a blob: it stays meanwhile. @returns null where somebody does already. */
  take(name: string): TakenBlob | null {
    if (this.#taken.has(name)) return null;
    this.#taken.add(name);
    return {
      path: keptBlobPath(this.#folder, name),
      [Symbol.dispose]: () => {
        this.#taken.delete(name);
      },
    };
  }

  /** Removes what has been as it is for too long. @param nowMs of a clock that only goes forward. */
  look(nowMs: number = performance.now()): void {
    const seen = new Map<string, Seen>();
    try {
      for (const name of this.#unused()) {
        const state = this.#state(name);
        const before = this.#seen.get(name);
        const sinceMs = before?.state === state ? before.sinceMs : nowMs;
        if (nowMs - sinceMs >= this.#unusedMs) this.#remove(name);
        else seen.set(name, { state, sinceMs });
      }
    } catch (error) {
      log.warn("what is left of layers stays for now", {
        error: String(error),
      });
    }
    this.#seen = seen;
  }

  /**
   * Makes room for somebody who waits: blobs that nobody goes on from go, the oldest first. They stay where all of them
   * would not be enough: whoever asks may name any size.
   * @param bytes that are needed. @param room how many there are.
   * @returns how many there are then. @throws FileError
   */
  makeRoom(bytes: number, room: () => number): number {
    let found = room();
    if (found >= bytes) return found;
    const left = this.#unused().map((name) => {
      const [list, blob] = this.#files(name).map(statIfThere);
      const size = [list, blob].map((info) => info ? bytesOnDisk(info) : 0);
      const mtime = blob?.mtime?.getTime() ?? 0;
      return { name, mtime, bytes: size.reduce((a, b) => a + b) };
    }).sort((a, b) => a.mtime - b.mtime);
    const most = left.reduce((sum, { bytes }) => sum + bytes, found);
    if (most < bytes) return found;
    for (const { name } of left) {
      log.info("what was left of a layer gives its room", { blob: name });
      this.#remove(name);
      found = room();
      if (found >= bytes) break;
    }
    return found;
  }

  #unused(): string[] {
    const names = namesIn(this.#folder).map((name) => KEPT.exec(name)?.[1]);
    return [...new Set(names)].filter((name) => name !== undefined)
      .filter((name) => !this.#taken.has(name));
  }

  #files(name: string): string[] {
    const path = keptBlobPath(this.#folder, name);
    return [`${path}.parts`, path]; // in this order: the list must not outlive its file
  }

  #state(name: string): string {
    return this.#files(name).map(statIfThere)
      .map((info) => `${info?.size} ${info?.mtime?.getTime()}`).join();
  }

  #remove(name: string): void {
    for (const path of this.#files(name)) removeIfThere(path);
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
