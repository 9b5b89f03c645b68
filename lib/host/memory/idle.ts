import { mapBuffersFrom, trimHeap } from "../os/mod.ts";
import { collectEverything, collectGarbage } from "./collect.ts";
import { forgetProgram } from "./program.ts";

/** How often to check whether work has ended, ms. */
const LOOK_MS = 1_500;
/** The garbage of the start is collected so long after it, if nobody has come: who waited has the processor alone. */
const FIRST_MS = 100;
/** Where work comes and goes, memory is returned no more often than this, ms. */
const LEAST_MS = 5_000;
/** While there is none, pages that came back of the program are dropped this often, ms. */
const AGAIN_MS = 30_000;

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
 * @param activity a count that changes while there is work; NaN does.
 * @param shrink called first, to make caches smaller.
 * @param returned called when it was returned, and told whether that was for the start; not awaited. What V8 had
 * compiled is gone, too.
 */
export function giveBackWhenIdle(
  activity: () => number,
  shrink: () => Promise<void>,
  returned: (isStart: boolean) => void = () => {},
): Disposable {
  let seen = activity();
  let given = NaN;
  let givenMs = -Infinity;
  let forgottenMs = -Infinity;
  const forget = () => {
    forgottenMs = performance.now();
    forgetProgram();
  };
  const give = (now: number, isStart: boolean) => {
    given = now;
    givenMs = performance.now();
    shrink().then(() => {
      collectEverything();
      trimHeap();
      forget();
      returned(isStart);
    });
  };
  const first = setTimeout(() => {
    if (activity() === seen) give(seen, true);
  }, FIRST_MS);
  const timer = setInterval(() => {
    const now = activity();
    const sinceMs = performance.now() - givenMs;
    if (now === seen && now !== given && sinceMs >= LEAST_MS) give(now, false);
    else if (
      now === given && performance.now() - forgottenMs >= AGAIN_MS
    ) forget();
    seen = now;
  }, LOOK_MS);
  Deno.unrefTimer(first);
  Deno.unrefTimer(timer);
  return {
    [Symbol.dispose]() {
      clearTimeout(first);
      clearInterval(timer);
    },
  };
}

/** Returns the garbage of this isolate to the system, and leaves what V8 has compiled. It takes as long. */
export function giveBackGarbage(): void {
  collectGarbage();
  trimHeap();
  forgetProgram();
}
