import {
  dropPages,
  mapBuffersFrom,
  OsError,
  readWholeFile,
  trimHeap,
} from "../os/mod.ts";

/** How often it is looked whether work has ended, ms. */
const LOOK_MS = 5_000;

const MAX_MAPS_BYTES = 16 * 2 ** 20;
/** Of the program's mappings that of its code; V8 has small ones of its own. */
const LARGE_BYTES = 16 * 2 ** 20;

/** Buffers from so many bytes on are returned when they are freed. */
const RETURNED_BYTES = 32 * 1024;

/**
 * Lets large buffers lie on pages of their own, so that their memory goes back when they are freed.
 * This is how malloc begins, but it gives that up for sizes that were freed once.
 */
export function keepLargeBuffersApart(): void {
  mapBuffersFrom(RETURNED_BYTES);
}

/**
 * Gives memory back to the system each time work has ended: what a pull or many readers leave as
 * garbage would stay until as much again is needed, which on an idle host is never. Takes some tens of
 * milliseconds, when nobody waits.
 * @param activity a count that changes while there is work.
 * @param shrink what can be made smaller before.
 */
export function giveBackWhenIdle(
  activity: () => number,
  shrink: () => Promise<void>,
): Disposable {
  let seen = activity();
  let given = NaN; // what start-up left, first
  const timer = setInterval(() => {
    const now = activity();
    if (now === seen && now !== given) {
      given = now;
      shrink().then(() => {
        collectGarbage?.(EVERYTHING);
        trimHeap();
        forgetProgram();
      });
    }
    seen = now;
  }, LOOK_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Lets go of the pages of this program's code: they count as ours, though they are the page cache's.
 * Those that are used come back with a page fault each, from there.
 */
function forgetProgram(): void {
  const path = Deno.execPath();
  let maps: string;
  try {
    maps = new TextDecoder().decode(
      readWholeFile("/proc/self/maps", MAX_MAPS_BYTES),
    );
  } catch (error) {
    if (error instanceof OsError) return; // no proc: they stay
    throw error;
  }
  for (const line of maps.split("\n")) {
    // `start-end perms offset device inode path` (proc_pid_maps(5)). Code is never written to.
    const [range = "", permissions] = line.split(" ", 2);
    if (permissions !== "r-xp" || !line.endsWith(path)) continue;
    const [start = 0n, end = 0n] = range.split("-").map((at) =>
      BigInt(`0x${at}`)
    );
    if (end - start < LARGE_BYTES) continue;
    dropPages(start, end - start);
  }
}

/** V8's options for a collection that also gives free pages of its heap back. */
const EVERYTHING = {
  type: "major",
  execution: "sync",
  flavor: "last-resort",
} as const;

/** There under the engine's flag `--expose-gc`, which the program is compiled with. */
const { gc: collectGarbage } = globalThis as {
  gc?: (options: typeof EVERYTHING) => void;
};
