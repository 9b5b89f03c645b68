import { libc } from "./libc.ts";

/** How often it is looked whether work has ended, ms. */
const LOOK_MS = 5_000;

/** malloc.h; and buffers from so many bytes on are returned when they are freed. */
const M_MMAP_THRESHOLD = -3;
const RETURNED_BYTES = 128 * 1024;

/**
 * Lets large buffers lie on pages of their own, so that their memory goes back when they are freed.
 * This is how malloc begins, but it gives that up for sizes that were freed once.
 */
export function keepLargeBuffersApart(): void {
  libc.mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES);
}

/**
 * Gives memory back to the system each time work has ended: what a pull or many readers leave as
 * garbage would stay until as much again is needed, which on an idle host is never. Takes some tens of
 * milliseconds, when nobody waits.
 * @param activity a count that changes while there is work.
 */
export function giveBackWhenIdle(activity: () => number): Disposable {
  let seen = activity();
  let given = NaN; // what start-up left, first
  const timer = setInterval(() => {
    const now = activity();
    if (now === seen && now !== given) {
      given = now;
      collectGarbage?.();
      libc.malloc_trim(0n);
    }
    seen = now;
  }, LOOK_MS);
  Deno.unrefTimer(timer);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** There under the engine's flag `--expose-gc`, which the program is compiled with. */
const { gc: collectGarbage } = globalThis as { gc?: () => void };
