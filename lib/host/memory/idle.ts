import {
  dropPages,
  mapBuffersFrom,
  OsError,
  readWholeFile,
  trimHeap,
} from "../os/mod.ts";
import { collectEverything } from "./collect.ts";

/** How often to check whether work has ended, ms. */
const LOOK_MS = 5_000;

const MAX_MAPS_BYTES = 16 * 2 ** 20;
/** A mapping of at least this size is the program's code; V8 has smaller ones of its own. */
const LARGE_BYTES = 16 * 2 ** 20;

/** Buffers of at least so many bytes are returned to the system when they are freed. */
const RETURNED_BYTES = 32 * 1024;

/**
 * Puts large buffers on their own pages, so that their memory is returned when they are freed. malloc
 * starts out like this, but stops doing it for sizes that were freed once.
 */
export function keepLargeBuffersApart(): void {
  mapBuffersFrom(RETURNED_BYTES);
}

/**
 * Returns memory to the system each time work has ended. Otherwise the garbage of a pull or of many
 * readers would stay until as much memory is needed again, which on an idle host is never. It takes some
 * tens of milliseconds, at a time when nobody waits.
 * @param activity a count that changes while there is work.
 * @param shrink called first, to make caches smaller.
 */
export function giveBackWhenIdle(
  activity: () => number,
  shrink: () => Promise<void>,
): Disposable {
  let seen = activity();
  let given = NaN; // so that the garbage of start-up is collected first
  const timer = setInterval(() => {
    const now = activity();
    if (now === seen && now !== given) {
      given = now;
      shrink().then(() => {
        collectEverything();
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
 * Drops the pages of this program's code. They count as this process's memory although the page cache
 * has them. Pages that are still used come back from there, with a page fault each.
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
