import { dropPages, OsError, readWholeFile } from "../os/mod.ts";

const MAX_MAPS_BYTES = 16 * 2 ** 20;
/** A mapping of at least this size is the program's own; V8 has smaller ones of its code. */
const LARGE_BYTES = 8 * 2 ** 20;

/** A part of the program's file in memory. */
interface Part {
  readonly start: bigint;
  readonly length: bigint;
}

/** Where the program lies, which does not change. */
let parts: readonly Part[] | null = null;

/**
 * Drops the pages of this program's code and constants, a millisecond's work. They count as this process's memory
 * although the page cache has them. Pages that are still used come back from there, sixteen with a page fault.
 */
export function forgetProgram(): void {
  parts ??= programParts();
  for (const { start, length } of parts) dropPages(start, length);
}

function programParts(): Part[] {
  const path = Deno.execPath();
  let maps: string;
  try {
    maps = new TextDecoder().decode(
      readWholeFile("/proc/self/maps", MAX_MAPS_BYTES),
    );
  } catch (error) {
    if (error instanceof OsError) return []; // no proc: they stay
    throw error;
  }
  return maps.split("\n").filter((line) => line.endsWith(path)).flatMap(
    (line) => {
      // `start-end perms offset device inode path` (proc_pid_maps(5)).
      const [range = "", permissions, offset] = line.split(" ", 3);
      // Never written to: code, and the file's first part. Other constants hold addresses that the loader wrote.
      const isClean = permissions === "r-xp" ||
        permissions === "r--p" && Number(`0x${offset}`) === 0;
      const [start = 0n, end = 0n] = range.split("-").map((at) =>
        BigInt(`0x${at}`)
      );
      const length = end - start;
      return isClean && length >= LARGE_BYTES ? [{ start, length }] : [];
    },
  );
}
