import { setImmediate } from "node:timers";

/** Resolves when others have had their turn on this thread. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
