import type { OrderRange, Recording } from "../../formats/order/mod.ts";
import { Intervals } from "./intervals.ts";
import { fileBefore } from "./file_before.ts";

const PAGE = 4096;
/** Files begin and end at blocks of the tar; what follows a file up to the next block is zeros. */
const BLOCK = 512;

/** A regular file's bytes in its layer's tar. */
export interface FileExtent {
  /** Where they begin. */
  readonly offset: number;
  /** How many; at least 1. */
  readonly size: number;
}

/** What ranges are made of touches with. */
export interface RangeOptions {
  /** Files of each of the recording's layers, by offset; null: nothing is known of the layer. */
  readonly files: readonly (readonly FileExtent[] | null)[];
  /**
   * How far the kernel reads ahead while a layer is served by the order, bytes. A page fault reads half of
   * it before itself. A reader in order makes the kernel read the window behind the one it is in, so up to
   * twice of it behind itself. So much is taken along: a READ of which a page is missing waits for a span.
   * (Python's start with 32 KiB: of 280 READs 118 lack something where nothing is taken along, 5 where it
   * is once behind, none with twice.)
   */
  readonly readAheadBytes: number;
  /** The longest range. */
  readonly maxRangeBytes: number;
  /** The most bytes of all; the order is cut there. */
  readonly maxBytes: number;
}

/** The ranges of an order, from what was touched: no byte twice, in order of first touch. */
export function rangesOf(
  { touches, layers }: Pick<Recording, "touches" | "layers">,
  options: RangeOptions,
): OrderRange[] {
  const seen = layers.map(() => new Intervals());
  const ranges: OrderRange[] = [];
  let left = options.maxBytes;
  for (const { layer, offset, length } of touches) {
    const files = options.files[layer] ?? null;
    const [from, to] = files === null
      ? [offset, offset + length]
      : widened(offset, offset + length, files, options.readAheadBytes);
    for (const [start, end] of seen[layer]!.add(from, to)) {
      const take = Math.min(end - start, left);
      left -= take;
      push(ranges, layer, start, start + take, options.maxRangeBytes);
      if (left === 0) return ranges;
    }
  }
  return ranges;
}

/** The bytes of one file that a read of these may make the kernel ask for. */
function widened(
  start: number,
  end: number,
  files: readonly FileExtent[],
  readAheadBytes: number,
): [start: number, end: number] {
  const file = fileAt(files, start);
  if (file === null) return [start, end];
  const fileEnd = file.offset + Math.ceil(file.size / BLOCK) * BLOCK;
  const page = (offset: number) =>
    file.offset + Math.floor((offset - file.offset) / PAGE) * PAGE;
  return [
    Math.min(start, Math.max(file.offset, page(start - readAheadBytes / 2))),
    Math.max(
      end,
      Math.min(fileEnd, page(end - 1) + PAGE + 2 * readAheadBytes),
    ),
  ];
}

function fileAt(
  files: readonly FileExtent[],
  offset: number,
): FileExtent | null {
  const file = fileBefore(files, offset);
  return file !== undefined && offset < file.offset + file.size ? file : null;
}

/** Adds a range: to the last one where it follows it, in pieces where it is long. */
function push(
  ranges: OrderRange[],
  layer: number,
  start: number,
  end: number,
  maxRangeBytes: number,
): void {
  const last = ranges.at(-1);
  if (last?.layer === layer && last.offset + last.length === start) {
    const more = Math.min(maxRangeBytes - last.length, end - start);
    ranges[ranges.length - 1] = { ...last, length: last.length + more };
    start += more;
  }
  for (; start < end; start += maxRangeBytes) {
    const length = Math.min(maxRangeBytes, end - start);
    ranges.push({ layer, offset: start, length });
  }
}
