import {
  OrderError,
  type OrderTouch,
  type Recording,
} from "../../formats/order/mod.ts";

/** How recordings are merged. */
export interface MergeOptions {
  /** What share of the runs must have touched a byte for it to be kept, 0 to 1. */
  readonly minSupport: number;
  /** Default: that of the first recording. */
  readonly workload?: string | undefined;
}

/** Half of the runs: what fewer touched was chance, or another workload's. */
export const DEFAULT_SUPPORT = 0.5;

/** A touch at its place in its own recording. */
interface Ranked {
  readonly touch: OrderTouch;
  /** Bytes that the recording touched before: recordings that went on for longer have the same start. */
  readonly rank: number;
}

/** Bytes that the same recordings touched. */
interface Piece {
  readonly layer: number;
  readonly offset: number;
  readonly end: number;
  readonly rank: number;
  readonly touch: Pick<OrderTouch, "ms" | "waitedMs" | "runs">;
}

/**
 * Makes one recording of several: bytes that enough runs touched, in the order of their median rank.
 * @throws OrderError when there is none, or they are of different platforms.
 */
export function mergeRecordings(
  recordings: readonly Recording[],
  options: MergeOptions,
): Recording {
  const [first] = recordings;
  if (first === undefined) throw new OrderError("value", "nothing to merge");
  const other = recordings.find(({ platform }) => platform !== first.platform);
  if (other !== undefined) {
    throw new OrderError(
      "value",
      `recordings of ${first.platform} and of ${other.platform} are not merged`,
    );
  }
  const layers = [...new Set(recordings.flatMap(({ layers }) => layers))];
  const runs = recordings.reduce((sum, { runs }) => sum + runs, 0);
  const needed = Math.max(1, options.minSupport * runs);
  const pieces = layers.flatMap((digest, layer) =>
    piecesOf(
      layer,
      recordings.map((one) => rankedIn(one, one.layers.indexOf(digest))),
    )
  ).filter(({ touch }) => touch.runs >= needed);
  pieces.sort((a, b) =>
    a.rank - b.rank || a.layer - b.layer || a.offset - b.offset
  );
  return {
    image: first.image,
    workload: options.workload ?? first.workload,
    platform: first.platform,
    runs,
    layers,
    touches: joined(pieces),
  };
}

/** The touches of one layer, by offset. */
function rankedIn({ touches }: Recording, layer: number): Ranked[] {
  let rank = 0;
  const ranked: Ranked[] = [];
  for (const touch of touches) {
    if (touch.layer === layer) ranked.push({ touch, rank });
    rank += touch.length;
  }
  return ranked.sort((a, b) => a.touch.offset - b.touch.offset);
}

/** Cuts the touches of one layer at every place where one begins or ends. */
function piecesOf(
  layer: number,
  recordings: readonly (readonly Ranked[])[],
): Piece[] {
  const cuts = Float64Array.from(
    new Set(
      recordings.flatMap((ranked) =>
        ranked.flatMap((
          { touch },
        ) => [touch.offset, touch.offset + touch.length])
      ),
    ),
  ).sort();
  const next = recordings.map(() => 0);
  const pieces: Piece[] = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [offset, end] = [cuts[i]!, cuts[i + 1]!];
    const here = recordings.flatMap((ranked, r) => {
      while (
        next[r]! < ranked.length &&
        endOf(ranked[next[r]!]!) <= offset
      ) next[r]!++;
      const one = ranked[next[r]!];
      return one !== undefined && one.touch.offset <= offset ? [one] : [];
    });
    if (here.length === 0) continue;
    const at = (one: Ranked) => one.rank + (offset - one.touch.offset);
    pieces.push({
      layer,
      offset,
      end,
      rank: median(here, at),
      touch: {
        ms: median(here, ({ touch }) => touch.ms),
        waitedMs: median(here, ({ touch }) => touch.waitedMs),
        runs: here.reduce((sum, { touch }) => sum + touch.runs, 0),
      },
    });
  }
  return pieces;
}

function endOf({ touch }: Ranked): number {
  return touch.offset + touch.length;
}

/** The median of what each run says; a recording of several runs counts as many times. */
function median(
  ranked: readonly Ranked[],
  value: (one: Ranked) => number,
): number {
  const sorted = ranked.map((one) => ({
    value: value(one),
    runs: one.touch.runs,
  }))
    .sort((a, b) => a.value - b.value);
  const all = sorted.reduce((sum, { runs }) => sum + runs, 0);
  let before = 0;
  for (const [i, { value, runs }] of sorted.entries()) {
    before += runs;
    if (before * 2 === all) return (value + sorted[i + 1]!.value) / 2;
    if (before * 2 > all) return value;
  }
  return 0;
}

/** Makes one of pieces that follow one another in order and in their layer. */
function joined(pieces: readonly Piece[]): OrderTouch[] {
  const touches: OrderTouch[] = [];
  for (const { layer, offset, end, touch } of pieces) {
    const last = touches.at(-1);
    if (
      last?.layer === layer && last.offset + last.length === offset &&
      last.runs === touch.runs && last.ms === touch.ms
    ) {
      touches[touches.length - 1] = { ...last, length: end - last.offset };
    } else touches.push({ layer, offset, length: end - offset, ...touch });
  }
  return touches;
}
