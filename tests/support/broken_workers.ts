/** Workers that are others than those of the program. @module */

/** A Worker that breaks down when it is started. */
export const BREAKS_AT_ONCE =
  "data:text/javascript,throw new Error('no memory')";

/** From now on, until this is disposed of, every Worker that is started runs that module. */
export function workersOf(module: string): Disposable & {
  /** How many were started. */
  readonly starts: () => number;
} {
  const Real = globalThis.Worker;
  let starts = 0;
  globalThis.Worker = class extends Real {
    constructor(_: string | URL, options?: WorkerOptions) {
      super(module, options);
      starts++;
    }
  };
  return {
    starts: () => starts,
    [Symbol.dispose]: () => {
      globalThis.Worker = Real;
    },
  };
}
