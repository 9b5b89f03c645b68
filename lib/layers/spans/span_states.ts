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
 * evict:   MISSING ──► LEAVING, too: a span that is not here may have ranges that are
 * giveUp:  QUEUED, FETCHING, INFLATING ──► MISSING; RECALLED ──► LEAVING; CHECKING ──► UNCHECKED
 * fail:    every state but PRESENT and UNCHECKED ──► FAILED, where it stays
 *
 * UNCHECKED ──check──► CHECKING ──confirm──► PRESENT
 *     └──evict──► LEAVING  └──evict──► RECALLED
 * ```
 *
 * What an earlier process has left is UNCHECKED: its bytes are compared with their checksum before they
 * are first used, and fetched again if the disk has changed them.
 * A PRESENT span cannot fail at once: readers may be copying its bytes, so it must leave first. A
 * LEAVING span is not fetched before its bytes are gone: punching the hole would destroy the new ones.
 * @module
 */

/** The states of a span. */
export enum SpanState {
  /** Its bytes are not here, and it has no waiters. */
  MISSING,
  /** It is wanted, but no range request asks for it yet. */
  QUEUED,
  /** A range request asks for it. */
  FETCHING,
  /** Its compressed bytes have arrived and are being checked, inflated and written. */
  INFLATING,
  /** Its bytes are in the data file and checked. The presence byte tells all isolates. */
  PRESENT,
  /** Its bytes are checked, but only in memory: they could not be written to the disk. */
  HELD,
  /** It is being evicted. Readers may still be copying its bytes, which will be destroyed. */
  LEAVING,
  /** It is leaving but wanted again: it is queued when its bytes are gone. */
  RECALLED,
  /** It cannot be made present: its ztoc is wrong or does not match the layer. */
  FAILED,
  /** An earlier process wrote its bytes into the data file; this one has not looked at them. */
  UNCHECKED,
  /** It is wanted, and those bytes are being compared with their checksum. */
  CHECKING,
}

/** Whether a span's bytes can be read without waiting. */
export function isHere(state: SpanState | undefined): boolean {
  return state === SpanState.PRESENT || state === SpanState.HELD;
}

/** The steps between states. */
export type SpanStep =
  /** It is requested. */
  | "want"
  /** A range request for it is sent. */
  | "send"
  /** That request is cancelled for a reader or another source; the span waits for another request. */
  | "requeue"
  /** Its compressed bytes have arrived. */
  | "arrive"
  /** They were unusable; the span waits for another request. */
  | "retry"
  /** Its bytes are in the data file. */
  | "write"
  /** Its bytes could not be written; they stay in memory. */
  | "hold"
  /** Other spans need the memory. */
  | "pushOut"
  /** What an earlier process left of it is to be compared. */
  | "check"
  /** It is what was written. */
  | "confirm"
  /** It is evicted. */
  | "evict"
  /** No reader copies its bytes any more, so they may be destroyed. */
  | "gone"
  /** It has no waiters any more, or its waiters get an error. */
  | "giveUp"
  /** It turned out that it cannot be made present. */
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
  UNCHECKED,
  CHECKING,
} = SpanState;

/** Every allowed step: from which state to which. */
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
  check: new Map([[UNCHECKED, CHECKING]]),
  confirm: new Map([[CHECKING, PRESENT]]),
  evict: new Map([
    [PRESENT, LEAVING],
    [MISSING, LEAVING],
    [UNCHECKED, LEAVING],
    [CHECKING, RECALLED],
  ]),
  gone: new Map([[LEAVING, MISSING], [RECALLED, QUEUED], [FAILED, FAILED]]),
  giveUp: new Map([
    [QUEUED, MISSING],
    [FETCHING, MISSING],
    [INFLATING, MISSING],
    [RECALLED, LEAVING],
    [CHECKING, UNCHECKED],
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
    [CHECKING, FAILED],
  ]),
};

/** A step that the table does not allow: a bug. The span's state is unchanged. */
export class SpanStepError extends Error {
  /** The class's name, for logs. */
  override readonly name = "SpanStepError";
  /** The message names span, step and state. */
  constructor(
    /** Number of the span. */
    readonly span: number,
    /** undefined: there is no such span. */
    readonly from: SpanState | undefined,
    /** The step that the table does not allow in that state. */
    readonly step: SpanStep,
  ) {
    const state = from === undefined ? "no span" : SpanState[from];
    super(`span ${span} cannot take the step ${step}: it is ${state}`);
  }
}

/** Whether a span's bytes are in the data file, as far as is known, and not about to go. */
export function isInFile(state: SpanState | undefined): boolean {
  return state === PRESENT || state === UNCHECKED || state === CHECKING;
}

/** The states of all spans of one layer, one byte each. */
export class SpanStates {
  readonly #states: Uint8Array;
  #inFile = 0;

  /**
   * At first each span is either UNCHECKED or MISSING.
   * @param wasPresent whether an earlier process left it in the data file.
   */
  constructor(count: number, wasPresent: (span: number) => boolean) {
    this.#states = new Uint8Array(count);
    for (let span = 0; span < count; span++) {
      if (!wasPresent(span)) continue;
      this.#states[span] = UNCHECKED;
      this.#inFile++;
    }
  }

  /** Number of spans. */
  get count(): number {
    return this.#states.length;
  }

  /** Number of spans that are in the data file: PRESENT, or left there by an earlier process. */
  get presentCount(): number {
    return this.#inFile;
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
    if (isInFile(from)) this.#inFile--;
    if (isInFile(to)) this.#inFile++;
    return to;
  }
}
