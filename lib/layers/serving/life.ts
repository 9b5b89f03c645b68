/** The states of an open layer. */
export type LayerState =
  /** Its directory is not in place yet, or what a successor needs is not on disk. */
  | "opening"
  /** Containers may use it. */
  | "shown"
  /**
   * Its directory could not be put in place: the caller that opened it gets the error and releases it.
   */
  | "unshown"
  /** Its ztoc lies about it. Current users keep it; new users do not get it. */
  | "condemned"
  /** It is no longer served; its descriptors are still open. */
  | "closing"
  /** Nothing of it is open. */
  | "closed";

/** What happens to an open layer. */
export type LayerStep =
  /** One more user has it. */
  | "share"
  /** Its directory is in place. */
  | "show"
  /** Its directory cannot be put in place. */
  | "fail"
  /** Its ztoc was found to lie. */
  | "condemn"
  /** The last user left, or the process ends. */
  | "close"
  /** Nothing uses its descriptors any more. */
  | "end";

/**
 * The life of an open layer: what each step makes of each state. A step that is not in here is a
 * fault of ours.
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
 * A mount that is under way cannot be called back: `show` and `fail` may come late, and change
 * nothing then. A span on its way may tell of a lie while the layer is closing.
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

/** A step that the table of an open layer's life does not have: a fault of ours. */
export class LayerLifeError extends Error {
  /** The class's name, for logs. */
  override readonly name = "LayerLifeError";
  /** A layer that is `state` was to take `step`. */
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

  /** Whether the layer is served: it was not asked to close. */
  get isServed(): boolean {
    return this.#state !== "closing" && this.#state !== "closed";
  }

  /** Takes a step. @throws LayerLifeError when the table does not have it; then nothing changed. */
  take(step: LayerStep): void {
    const next = LIFE[this.#state][step];
    if (next === undefined) throw new LayerLifeError(this.#state, step);
    this.#state = next;
  }
}
