import { listMounts } from "../../host/mounting/mod.ts";
import type { MountReadAhead } from "./read_ahead.ts";
import { OsError, readWholeFile, writeText } from "../../host/os/mod.ts";

const DEVICES = "/sys/class/bdi";
/** The kernel's default. */
const DEFAULT_KB = "128";

/**
 * Layers whose reads are recorded: the kernel reads nothing ahead in them, so each READ is one of the pages
 * that a reader needed. An EROFS mount is one layer's; on a FUSE mount it holds for all of its layers.
 */
export class ExactReads {
  readonly #erofs: MountReadAhead;
  readonly #mountpoints: readonly string[];
  /** What each device had, while it is off. */
  readonly #before = new Map<string, string>();

  /** Changes nothing yet. @param mountpoints of the FUSE mounts; they are not touched. */
  constructor(erofs: MountReadAhead, mountpoints: readonly string[]) {
    this.#erofs = erofs;
    this.#mountpoints = mountpoints;
  }

  /** Turns read-ahead off for files of these layers that are opened from now on, and on for all others. */
  set(slots: ReadonlySet<number>): void {
    this.#erofs.setExact(slots);
    if (slots.size > 0) this.#off();
    else this.#restore();
  }

  #off(): void {
    for (const device of this.#devices()) {
      const file = fileOf(device);
      const before = read(file);
      if (before === null || this.#before.has(device)) continue;
      this.#before.set(device, before);
      write(file, "0");
    }
  }

  /** Gives each mount what it had. */
  #restore(): void {
    for (const [device, kb] of this.#before) write(fileOf(device), kb);
    this.#before.clear();
  }

  /** Undoes what a process left that was killed while it recorded. */
  repair(): void {
    for (const device of this.#devices()) {
      const file = fileOf(device);
      if (read(file) === "0") write(file, DEFAULT_KB);
    }
  }

  #devices(): string[] {
    return listMounts()
      .filter(({ mountpoint }) => this.#mountpoints.includes(mountpoint))
      .map(({ device }) => device);
  }
}

function fileOf(device: string): string {
  return `${DEVICES}/${device}/read_ahead_kb`;
}

/** What it says; null where it is not there. Deno reads nothing below /sys without all permissions. */
function read(file: string): string | null {
  try {
    return new TextDecoder().decode(readWholeFile(file, 64)).trim();
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
}

function write(file: string, kb: string): void {
  try {
    writeText(file, kb);
  } catch (error) {
    // Read-only in a container: reads are recorded with what the kernel reads ahead.
    if (!(error instanceof OsError)) throw error;
  }
}
