/**
 * What may be taken in a while: an amount that comes back at an even pace, up to a most. Who takes more has to do
 * without.
 */
export class Allowance {
  #left: number;
  #atMs = -Infinity;

  /** All of it may be taken at once. @param most comes back in `periodMs`. */
  constructor(
    private readonly most: number,
    private readonly periodMs: number,
  ) {
    this.#left = most;
  }

  /** Takes an amount, or nothing where less is left. @returns whether it was taken. */
  take(amount: number, nowMs = performance.now()): boolean {
    const since = (nowMs - this.#atMs) / this.periodMs;
    this.#atMs = nowMs;
    this.#left = Math.min(this.most, this.#left + since * this.most);
    if (amount > this.#left) return false;
    this.#left -= amount;
    return true;
  }
}
