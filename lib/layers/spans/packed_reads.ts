import type { LayerSpans } from "./layer_spans.ts";
import type { RangeLook } from "./ranges.ts";
import type { PendingSpan } from "./pending.ts";
import type { SpanWants } from "./wants.ts";

/**
 * A reader waits for the pack alone while no more than this many times the bytes of the spans it would need
 * come before its own: fetching them would take a good part of the line from the pack.
 */
const NEAR = 3;
/** The least that counts as near, bytes of the pack: some tens of ms on a slow line. */
const NEAR_BYTES = 512 * 1024;

/** Reads of bytes that are here, or on their way, by a start pack. */
export class PackedReads {
  readonly #spans: LayerSpans;
  readonly #wants: Pick<SpanWants, "ask" | "wait">;

  constructor(spans: LayerSpans, wants: Pick<SpanWants, "ask" | "wait">) {
    this.#spans = spans;
    this.#wants = wants;
  }

  /**
   * Resolves when all bytes of a read are here.
   * @returns false when some of them come by no pack, or do not come after all: their spans are to be fetched.
   * @throws as `LayerReader.ensure`
   */
  async ensure(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { ranges } = this.#spans;
    for (let isFirst = true;; isFirst = false) {
      const look = ranges.look(offset, length);
      if (look.kind !== "coming") return look.kind === "here";
      if (isFirst) {
        ranges.figures.lateReads++;
        ranges.figures.lateBytes += length;
      }
      await this.#wait(look, offset, length, signal);
    }
  }

  /**
   * Waits for spans, unless something else comes first.
   * @returns whether the spans are here.
   * @throws as `LayerReader.ensure`
   */
  async waitUnless(
    first: Promise<void>,
    waits: readonly PendingSpan[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const enough = new AbortController();
    const spans = this.#wants.wait(
      waits,
      AbortSignal.any([signal, enough.signal]),
    ).then(() => true);
    spans.catch(() => {}); // the other may have come first
    try {
      return await Promise.race([spans, first.then(() => false)]);
    } finally {
      enough.abort(new Error("a pack may bring the bytes before their spans"));
    }
  }

  /** Waits for a part of the read to come: by the pack, or by its spans where those would be here before. */
  async #wait(
    look: RangeLook & { readonly kind: "coming" },
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
    const enough = new AbortController();
    try {
      const waits: Promise<void>[] = [look.changed, left.promise];
      if (look.aheadBytes > Math.max(NEAR * look.spanBytes, NEAR_BYTES)) {
        waits.push(
          this.#fetch(offset, length, AbortSignal.any([signal, enough.signal])),
        );
      }
      await Promise.race(waits);
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", leave);
      enough.abort(new Error("the pack brought the bytes before the span"));
    }
  }

  async #fetch(
    offset: number,
    length: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { first, last } = this.#spans.spansOf(offset, length);
    const waits = this.#wants.ask(first, last, "demand");
    if (waits === null) return;
    const wait = this.#wants.wait(waits, signal);
    wait.catch(() => {}); // the pack may have come first
    await wait;
  }
}
