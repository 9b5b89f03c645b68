import { logger } from "./log.ts";

const log = logger("state");
/** More than a person reads; the log has all. */
const MAX_KEPT = 100;

/** State on disk that was lost or changed, and what was made of that. */
export interface StateDamage {
  /** The file or folder. */
  readonly path: string;
  /** What is wrong with it, in words. */
  readonly found: string;
  /** What follows, and what is to be done, in words. */
  readonly then: string;
}

const kept = new Map<string, StateDamage>();

/** Tells of damaged state: one line in the log, one in `status` for as long as the process lives. */
export function tellStateDamage(damage: StateDamage): void {
  log.warn("state on disk was lost or damaged", { ...damage });
  noteStateDamage(damage);
}

/** Tells of damaged state in `status`, where the log has a line of its own about it. */
export function noteStateDamage(damage: StateDamage): void {
  kept.delete(damage.path);
  kept.set(damage.path, damage);
  if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
}

/** What this process has found, in the order it was found; the newest of each path. */
export function stateDamages(): StateDamage[] {
  return [...kept.values()];
}
