import type { Queued, QueuedLayer, WantedPart } from "./part_queue.ts";

/** A part that the queue may ask for. */
export interface OwnPart extends WantedPart {
  /** Asks for it, see `QueuedLayer.begin`; who rejects need not dispose of the place. */
  readonly ask: (place: Disposable | null, lost: AbortSignal) => Promise<void>;
  /** It lost its turn: it is to be asked for again. */
  readonly lose: () => void;
}

/** What {@link requestParts} needs. */
export interface PartRequests {
  /** Joins the queue. */
  readonly join: (layer: QueuedLayer) => Queued;
  /** How the layer is. */
  readonly layer: Omit<QueuedLayer, "next" | "begin">;
  /** The most requests at a time. */
  readonly atOnce: number;
  /** The next part; null: there is none. */
  readonly next: () => OwnPart | null;
  /** Told of the layer's place in the queue, before its first part is asked for. */
  readonly onQueued: (queued: Queued) => void;
  /** A part failed: those in flight are of no use. @returns whether they are, all the same, and others may be. */
  readonly failed: (error: unknown) => boolean;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Lets the queue ask for a layer's parts, until there is none and all that were asked for have ended.
 * @throws the first part's error that was of importance, the signal's reason
 */
export async function requestParts(
  { join, layer, atOnce, next, onQueued, failed, signal }: PartRequests,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let inFlight = 0;
  let failure: { readonly error: unknown } | null = null;
  const settle = () => {
    if (inFlight > 0) return;
    if (failure !== null) reject(failure.error);
    else if (next() === null) resolve();
  };
  const leave = () => {
    failure ??= { error: signal.reason };
    settle();
  };
  using queued = join({
    ...{ requester: layer.requester, sizeBytes: layer.sizeBytes },
    get isActive() {
      return layer.isActive;
    },
    get unaskedBytes() {
      return layer.unaskedBytes;
    },
    get unreadBytes() {
      return layer.unreadBytes;
    },
    get readRate() {
      return layer.readRate;
    },
    next: () => failure !== null || inFlight >= atOnce ? null : next(),
    begin: async (part, place, lost) => {
      const own = part as OwnPart;
      inFlight++;
      try {
        await own.ask(place, AbortSignal.any([signal, lost]));
      } catch (error) {
        place?.[Symbol.dispose]();
        if (lost.aborted && !signal.aborted) own.lose();
        else if (!failed(error)) failure ??= { error };
      } finally {
        inFlight--;
        settle();
      }
    },
  });
  onQueued(queued);
  signal.addEventListener("abort", leave, { once: true });
  try {
    if (signal.aborted) leave();
    else settle(); // perhaps all of it is here
    await promise;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
