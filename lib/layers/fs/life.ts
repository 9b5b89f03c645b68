/** What each step makes of each state. A step that a state does not have cannot be taken in it. */
export type Steps<State extends string, Step extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Step, State>>>>
>;

/** A step that the table of a life does not have: a fault of ours. */
export class LifeError extends Error {
  override readonly name = "LifeError";

  /** `what` was `state` and was to take `step`. */
  constructor(what: string, state: string, step: string) {
    super(`${what} is ${state}: it cannot ${step}`);
  }
}

/** Where something is in its life, and how it got there: by a table alone. */
export class Life<State extends string, Step extends string> {
  readonly #what: string;
  readonly #steps: Steps<State, Step>;
  #state: State;

  /**
   * @param what names it in errors.
   * @param steps all there are.
   * @param first how it begins.
   */
  constructor(what: string, steps: Steps<State, Step>, first: State) {
    this.#what = what;
    this.#steps = steps;
    this.#state = first;
  }

  /** The state it is in. */
  get state(): State {
    return this.#state;
  }

  /** Takes a step. @returns the state it was in before. @throws LifeError when there is no such step. */
  take(step: Step): State {
    const before = this.#state;
    const next = this.#steps[before][step];
    if (next === undefined) throw new LifeError(this.#what, before, step);
    this.#state = next;
    return before;
  }
}
