/**
 * Whom a layer is brought for. Images that are pulled at once may share one: it is brought until the last of their pulls
 * is given up.
 */
export class BroughtFor {
  readonly #stop = new AbortController();
  readonly #pulls = new Set<AbortSignal>();
  #always = false;

  /** Fires when all that wanted it have left; with the reason of the last one. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * One more wants it. @param pull fires when that one has left. Null: it never does.
   * @returns false where it is too late: all others have left, and it comes no more.
   */
  join(pull: AbortSignal | null): boolean {
    if (this.#stop.signal.aborted) return false;
    if (pull === null) this.#always = true;
    if (pull === null || this.#pulls.has(pull)) return true;
    this.#pulls.add(pull);
    pull.addEventListener("abort", () => this.#left(pull), { once: true });
    return true;
  }

  #left(pull: AbortSignal): void {
    this.#pulls.delete(pull);
    if (this.#pulls.size === 0 && !this.#always) this.#stop.abort(pull.reason);
  }
}
