import type { Digest } from "../../formats/oci/mod.ts";
import type { OrderTouch, Recording } from "../../formats/order/mod.ts";
import type { SpokenRead } from "../../host/handover/mod.ts";
import { Intervals } from "./intervals.ts";

/** What a recording is made of. */
export interface Recorded {
  /** As it was named. */
  readonly image: string;
  /** Which workload was run. */
  readonly workload: string;
  /** `os/arch[/variant]`. */
  readonly platform: string;
  /** Layers that reads count in. */
  readonly layers: readonly Digest[];
  /** In any order. */
  readonly reads: readonly SpokenRead[];
  /** When the workload was started, ms since the epoch. */
  readonly startMs: number;
}

/** A recording of one start: of each read the bytes that none before it touched. */
export function recordingOf(recorded: Recorded): Recording {
  const { startMs, reads, image, workload, platform, layers } = recorded;
  const seen = layers.map(() => new Intervals());
  const touches: OrderTouch[] = [];
  for (const read of reads.toSorted((a, b) => a[3] - b[3])) {
    const [layer, start, length, atMs, waitedMs] = read;
    for (const [offset, end] of seen[layer]!.add(start, start + length)) {
      touches.push({
        layer,
        offset,
        length: end - offset,
        ms: Math.max(0, atMs - startMs),
        waitedMs,
        runs: 1,
      });
    }
  }
  return { image, workload, platform, runs: 1, layers, touches };
}
