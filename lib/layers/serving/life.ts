/** The states of an open layer. */
export type LayerState =
  /** Its directory is not in place yet, or is not on disk yet for a successor. */
  | "opening"
  /** Containers may use it. */
  | "shown"
  /**
   * Its directory could not be put in place: the caller that opened it gets the error and releases it.
   */
  | "unshown"
  /** Its ztoc is wrong. Current users keep the layer; new users do not get it. */
  | "condemned"
  /** It is no longer served, but its descriptors are still open. */
  | "closing"
  /** Everything is closed. */
  | "closed";

/** Events in the life of an open layer. */
export type LayerStep =
  /** Another user shares it. */
  | "share"
  /** Its directory is in place. */
  | "show"
  /** Its directory could not be put in place. */
  | "fail"
  /** Its ztoc was found to be wrong. */
  | "condemn"
  /** The last user left, or the process ends. */
  | "close"
  /** Its descriptors are no longer used. */
  | "end";

/**
 * The life of an open layer: the next state for each state and step. A step that is not in the
 * table is a bug.
 *
 * ```text
 *             show
 *   opening ───────► shown ──────┐
 *    │  │ fail                   │ condemn
 *    │  └──────► unshown ────────┤
 *    │                           ▼
 *    └─── condemn ─────────► condemned
 *
 *   opening, shown, unshown, condemned ── close ──► closing ── end ──► closed
 * ```
 *
 * A mount in progress cannot be cancelled, so `show` and `fail` may come late. They change nothing
 * then. A span in flight may still condemn the layer while it is closing.
 */
export const LIFE: Readonly<
  Record<LayerState, Readonly<Partial<Record<LayerStep, LayerState>>>>
> = {
  opening: {
    share: "opening",
    show: "shown",
    fail: "unshown",
    condemn: "condemned",
    close: "closing",
  },
  shown: { share: "shown", condemn: "condemned", close: "closing" },
  unshown: { share: "unshown", condemn: "condemned", close: "closing" },
  condemned: {
    show: "condemned",
    fail: "condemned",
    condemn: "condemned",
    close: "closing",
  },
  closing: {
    show: "closing",
    fail: "closing",
    condemn: "closing",
    end: "closed",
  },
  closed: { show: "closed", fail: "closed" },
};

/** A step that is not in the table of an open layer's life: a bug. */
export class LayerLifeError extends Error {
  /** The class's name, for logs. */
  override readonly name = "LayerLifeError";
  /** A layer in `state` was asked to take `step`. */
  constructor(
    /** The layer's state. */
    readonly state: LayerState,
    /** The step that is not allowed. */
    readonly step: LayerStep,
  ) {
    super(`an open layer that is ${state} cannot ${step}`);
  }
}

/** The state machine of one open layer. */
export class LayerLife {
  #state: LayerState = "opening";

  /** The state it is in. */
  get state(): LayerState {
    return this.#state;
  }

  /** Whether the layer is served: nobody has closed it yet. */
  get isServed(): boolean {
    return this.#state !== "closing" && this.#state !== "closed";
  }

  /**
   * Takes a step. @throws LayerLifeError if it is not in the table; the state then stays as it was.
   */
  take(step: LayerStep): void {
    const next = LIFE[this.#state][step];
    if (next === undefined) throw new LayerLifeError(this.#state, step);
    this.#state = next;
  }
}
