import type { SpanClass } from "./classes.ts";

/** One span someone wants, from being asked for until it is present or failed. */
export interface Flight {
  readonly span: number;
  readonly layer: RunLayer;
  /** The first of those who wait. Raised when a more urgent one joins, never lowered. */
  cls: SpanClass;
  /** Those who wait; a queued flight that nobody waits for any more is dropped. */
  waiters: number;
  /** The range request that brings it; null while it is queued. */
  run: Run | null;
  /** Its bytes have come; what is left is checking and inflating. */
  received: boolean;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One range request for neighbouring spans of a layer. */
export interface Run {
  readonly layer: RunLayer;
  /** In order of their spans, without gap. */
  readonly flights: readonly Flight[];
  readonly cls: SpanClass;
  readonly abort: AbortController;
  /** The next of `flights` to come. */
  next: number;
  /** Compressed bytes that have come. */
  received: number;
  readonly size: number;
}

/** A layer as the scheduler sees it. */
export interface RunLayer {
  /** Requests are bounded for each host. */
  readonly host: string;
  compressedStart(span: number): number;
  compressedEnd(span: number): number;
  /** The layer's queued flights by span, kept by the scheduler. */
  readonly queued: Map<number, Flight>;
  /**
   * Fetches a run's spans and hands each on as its bytes come; `run.next` and `run.received` follow.
   * @throws the source's error, or the abort's reason: then flights from `run.next` on have not come.
   */
  fetchRun(run: Run, onBytes: (count: number) => void): Promise<void>;
}

/** Why a run was given up: its flights are queued again. */
export class Preempted extends Error {
  override readonly name = "Preempted";
}
