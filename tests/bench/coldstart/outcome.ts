/** All that a run of the cold start benchmark found: what is saved, printed and drawn. @module */
import { median } from "../support.ts";
import type { Line } from "./lines.ts";
import type { Start } from "./measure.ts";
import type { Name } from "./workloads.ts";

/** One run. */
export interface Outcome {
  readonly at: string;
  readonly machine: string;
  readonly rounds: number;
  readonly lines: readonly Line[];
  readonly images: readonly ImageFacts[];
  readonly ways: readonly WayFacts[];
  readonly found: readonly Measured[];
}

/** An image, and what its start needs at least. */
export interface ImageFacts {
  readonly name: Name;
  readonly layers: number;
  /** Of its layers as the registry has them. */
  readonly sizeBytes: number;
  /** Until ready with all files cached, from the command to run the container. */
  readonly floorMs: number;
  readonly neededFiles: number;
  /** Bytes of the pages a start reads, as they are and compressed. */
  readonly neededBytes: number;
  readonly neededPackedBytes: number;
}

/** A way to bring images. */
export interface WayFacts {
  readonly name: string;
  readonly title: string;
  /** Why it was not measured; null when it was. */
  readonly skipped: string | null;
}

/** One start, and what it was. */
export interface Measured {
  readonly line: string;
  readonly image: string;
  readonly way: string;
  readonly start: Start;
  /**
   * Fetched and not read by the start, of layers and packs; null where that means
   * nothing: a full pull, layers without spans.
   */
  readonly unread: {
    readonly spanBytes: number;
    readonly packBytes: number;
  } | null;
}

/** All starts of one image by one way over one line. */
export interface Group {
  readonly line: string;
  readonly image: string;
  readonly way: string;
  readonly all: readonly Measured[];
}

/** Puts together what belongs together, in the order of its first start. */
export function grouped(found: readonly Measured[]): Group[] {
  const groups = Map.groupBy(
    found,
    ({ line, image, way }) => `${line} ${image} ${way}`,
  );
  return [...groups.values()].map((all) => {
    const { line, image, way } = all[0]!;
    return { line, image, way, all };
  });
}

/** A figure of a start; null where it has none. */
export type Figure = (measured: Measured) => number | null;

/** What is told of each group. Times in ms. */
export const FIGURES = {
  total: ({ start }) => start.totalMs,
  // A full pull prepares snapshots when it has fetched everything.
  sincePrepare: ({ start }) =>
    start.cpuMs === null ? null : start.sincePrepareMs,
  command: ({ start }) => start.phases.command,
  layers: ({ start }) => start.phases.layers,
  container: ({ start }) => start.phases.container,
  program: ({ start }) => start.phases.program,
  bytes: ({ start }) => start.bytes,
  unreadSpans: ({ unread }) => unread === null ? null : unread.spanBytes,
  unreadPack: ({ unread }) => unread === null ? null : unread.packBytes,
  unread: ({ unread }) =>
    unread === null ? null : unread.spanBytes + unread.packBytes,
  // Of the kernel's requests those that were not answered at once; no other daemon tells.
  waits: ({ start }) => fetchedOf(start).waits ?? null,
  waited: ({ start }) => fetchedOf(start).waitedMs ?? null,
  requests: ({ start }) =>
    Object.values(start.traffic).reduce((sum, it) => sum + it.requests, 0),
  cpu: ({ start }) => start.cpuMs,
  resident: ({ start }) => start.residentMb,
  job: ({ start }) => start.jobMs,
} as const satisfies Record<string, Figure>;

/** What our daemon counts of its readers. */
function fetchedOf(
  { figures }: Start,
): { readonly waits?: number; readonly waitedMs?: number } {
  const { fetched = {} } = Object(figures);
  return fetched;
}

/** The median of a figure; null where no start has it. */
export function middle({ all }: Group, figure: Figure): number | null {
  const values = all.map(figure).filter((it) => it !== null);
  return values.length === 0 ? null : median(values);
}

/** The least and the most of a figure that every start has. */
export function spread({ all }: Group, figure: Figure): [number, number] {
  const values = all.map(figure).filter((it) => it !== null);
  return [Math.min(...values), Math.max(...values)];
}

/** No way can be faster: the needed bytes over the line, or the program with all of them here. */
export function limitMs(image: ImageFacts, { limits }: Line): number {
  if (limits === null) return image.floorMs;
  const { bitsPerSecond, delayMs } = limits;
  const lineMs = 2 * delayMs +
    image.neededPackedBytes * 8 * 1000 / bitsPerSecond;
  return Math.max(lineMs, image.floorMs);
}
