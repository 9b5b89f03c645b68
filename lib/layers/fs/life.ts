/** For each state, the allowed steps and the state that each leads to. */
export type Steps<State extends string, Step extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Step, State>>>>
>;

/** A step that the table does not allow: a bug. */
export class LifeError extends Error {
  override readonly name = "LifeError";

  /** `what` in `state` was asked to take `step`. */
  constructor(what: string, state: string, step: string) {
    super(`${what} is ${state}: it cannot ${step}`);
  }
}

/** A state machine whose steps are a table. */
export class Life<State extends string, Step extends string> {
  readonly #what: string;
  readonly #steps: Steps<State, Step>;
  #state: State;

  /**
   * @param what names it in errors.
   * @param steps all allowed steps.
   * @param first the initial state.
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
