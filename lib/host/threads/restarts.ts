/** Before a thread that broke down is started again, ms: at first, at most. */
const FIRST_MS = 50;
const LAST_MS = 5_000;

/**
 * How long whoever starts a thread again waits before, ms: one that breaks down at each start would keep a core busy.
 * @param breakdowns how often it broke down before, without having worked.
 */
export function restartPauseMs(breakdowns: number): number {
  return Math.min(FIRST_MS * 2 ** Math.min(breakdowns, 20), LAST_MS);
}
