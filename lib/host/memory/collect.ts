/** A collection that also gives free pages of V8's heap back. */
const EVERYTHING = {
  type: "major",
  execution: "sync",
  flavor: "last-resort",
} as const;

/** A collection that leaves what was compiled. */
const GARBAGE = {
  type: "major",
  execution: "sync",
  flavor: "regular",
} as const;

/** There under the engine's flag `--expose-gc`, which the program is compiled with. */
const { gc } = globalThis as {
  gc?: (options: typeof EVERYTHING | typeof GARBAGE) => void;
};

/**
 * Collects all garbage of this isolate and returns its free pages: 20 ms for a Worker's small heap, 50 ms
 * for the main isolate's.
 */
export function collectEverything(): void {
  gc?.(EVERYTHING);
}

/** Collects the garbage of this isolate, and leaves what V8 has compiled. */
export function collectGarbage(): void {
  gc?.(GARBAGE);
}

/**
 * Returns a buffer's memory now, not at the next collection: V8 lets tens of MB of dead buffers gather
 * before it collects for their sake. Views of it are empty afterwards.
 */
export function freeBuffer(buffer: ArrayBuffer): void {
  if (!buffer.detached) buffer.transfer(0);
}
