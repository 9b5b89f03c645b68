/**
 * The life of a span, as a table that runs: every change of a span's state is one of its steps.
 *
 * ```text
 *      want        send             arrive              write
 * MISSING ──► QUEUED ────► FETCHING ─────► INFLATING ──────────► PRESENT
 *   ▲          ▲ ▲ ▲           │             │     │               │  ▲
 *   │          │ │ └──requeue──┘             │     │ hold          │  │ write
 *   │          │ └───────────retry───────────┘     └──────► HELD ──┼──┘
 *   ├──pushOut─┼─────────────────────────────────────────────┘     │
 *   │          │ gone                                              │ evict
 *   │       RECALLED ◄──want── LEAVING ◄───────────────────────────┘
 *   └───────────────gone──────────┘
 *
 * giveUp: QUEUED, FETCHING, INFLATING ──► MISSING; RECALLED ──► LEAVING
 * fail:   every state but PRESENT ──► FAILED, where it stays
 * ```
 *
 * A span that is PRESENT cannot fail at once: readers may be copying its bytes, so it leaves first.
 * One that is leaving is not fetched before its bytes have gone: the hole would take the new ones.
 * @module
 */

/** Where a span is. */
export enum SpanState {
  /** Its bytes are not here, and nobody waits for them. */
  MISSING,
  /** Somebody wants it; no range request asks for it yet. */
  QUEUED,
  /** A range request asks for it. */
  FETCHING,
  /** Its compressed bytes are here: they are checked, inflated and written. */
  INFLATING,
  /** Its bytes are in the data file, and right. The presence byte says so to all isolates. */
  PRESENT,
  /** Its bytes are right and in memory only: the disk does not take them. */
  HELD,
  /** It was given up. Readers may still be copying its bytes, which are about to go. */
  LEAVING,
  /** It is leaving, and somebody wants it again: it is queued when its bytes have gone. */
  RECALLED,
  /** It will never be right: its ztoc lies, or does not fit the layer. */
  FAILED,
}

/** What can happen to a span. */
export type SpanStep =
  /** Somebody asks for it. */
  | "want"
  /** A range request for it goes out. */
  | "send"
  /** That request gives way to a reader, or to another source: the span waits for another one. */
  | "requeue"
  /** Its compressed bytes came. */
  | "arrive"
  /** They were of no use: the span waits for another request. */
  | "retry"
  /** Its bytes are in the data file. */
  | "write"
  /** The disk did not take its bytes: they stay in memory. */
  | "hold"
  /** Others need that memory. */
  | "pushOut"
  /** It is given up. */
  | "evict"
  /** Nobody copies its bytes any more: they may go. */
  | "gone"
  /** Nobody waits for it any more, or those who do are told why it does not come. */
  | "giveUp"
  /** It is found to be wrong for good. */
  | "fail";

const {
  MISSING,
  QUEUED,
  FETCHING,
  INFLATING,
  PRESENT,
  HELD,
  LEAVING,
  RECALLED,
  FAILED,
} = SpanState;

/** Every step there is: from which state to which. */
export const SPAN_STEPS: Readonly<
  Record<SpanStep, ReadonlyMap<SpanState, SpanState>>
> = {
  want: new Map([[MISSING, QUEUED], [LEAVING, RECALLED]]),
  send: new Map([[QUEUED, FETCHING]]),
  requeue: new Map([[FETCHING, QUEUED]]),
  arrive: new Map([[FETCHING, INFLATING]]),
  retry: new Map([[INFLATING, QUEUED]]),
  write: new Map([[INFLATING, PRESENT], [HELD, PRESENT]]),
  hold: new Map([[INFLATING, HELD]]),
  pushOut: new Map([[HELD, MISSING]]),
  evict: new Map([[PRESENT, LEAVING]]),
  gone: new Map([[LEAVING, MISSING], [RECALLED, QUEUED], [FAILED, FAILED]]),
  giveUp: new Map([
    [QUEUED, MISSING],
    [FETCHING, MISSING],
    [INFLATING, MISSING],
    [RECALLED, LEAVING],
  ]),
  fail: new Map([
    [MISSING, FAILED],
    [QUEUED, FAILED],
    [FETCHING, FAILED],
    [INFLATING, FAILED],
    [HELD, FAILED],
    [LEAVING, FAILED],
    [RECALLED, FAILED],
    [FAILED, FAILED],
  ]),
};

/** A step that the table does not have: a fault of ours. The span's state is what it was. */
export class SpanStepError extends Error {
  /** The class's name, for logs. */
  override readonly name = "SpanStepError";
  /** Who asked for which step, and in which state. */
  constructor(
    /** Number of the span. */
    readonly span: number,
    /** undefined: there is no such span. */
    readonly from: SpanState | undefined,
    /** What the table does not have for that state. */
    readonly step: SpanStep,
  ) {
    const state = from === undefined ? "no span" : SpanState[from];
    super(`span ${span} cannot take the step ${step}: it is ${state}`);
  }
}

/** The states of all spans of one layer, one byte each. */
export class SpanStates {
  readonly #states: Uint8Array;
  #presentCount = 0;

  /**
   * Spans are PRESENT or MISSING, and nothing else, in the beginning.
   * @param isPresent which are in the data file already.
   */
  constructor(count: number, isPresent: (span: number) => boolean) {
    this.#states = new Uint8Array(count);
    for (let span = 0; span < count; span++) {
      if (!isPresent(span)) continue;
      this.#states[span] = PRESENT;
      this.#presentCount++;
    }
  }

  /** Number of spans. */
  get count(): number {
    return this.#states.length;
  }

  /** Number of spans that are PRESENT. */
  get presentCount(): number {
    return this.#presentCount;
  }

  /** The state of a span; undefined when there is no such span. */
  at(span: number): SpanState | undefined {
    return this.#states[span];
  }

  /**
   * Takes a step.
   * @returns the state it leads to.
   * @throws SpanStepError when the table does not have it; then nothing changed.
   */
  step(span: number, step: SpanStep): SpanState {
    const from = this.at(span);
    const to = from === undefined ? undefined : SPAN_STEPS[step].get(from);
    if (to === undefined) throw new SpanStepError(span, from, step);
    this.#states[span] = to;
    if (from === PRESENT) this.#presentCount--;
    if (to === PRESENT) this.#presentCount++;
    return to;
  }
}
