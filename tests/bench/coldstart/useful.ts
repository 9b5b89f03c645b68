/** How much of what was fetched a start read. @module */
import { decodePlan } from "../../../lib/formats/order/mod.ts";
import {
  decodeZtoc,
  type SpanTable,
  spanTable,
  type Ztoc,
} from "../../../lib/formats/ztoc/mod.ts";
import type { Needs } from "./needs.ts";
import type { Range } from "./resident_pages.ts";

/** A layer, and what a start reads of its uncompressed tar. */
interface NeededLayer {
  readonly spans: SpanTable;
  /** Ascending, apart from each other. */
  readonly ranges: readonly Range[];
}

/** What a start needs, in the coordinates of the layers. */
export class NeededBytes {
  readonly #layers: ReadonlyArray<NeededLayer | null>;

  /** @param ztocs of each layer, lowest first; null for a layer without one. */
  constructor(
    needs: Needs,
    ztocs: ReadonlyArray<Uint8Array<ArrayBuffer> | null>,
  ) {
    this.#layers = ztocs.map((bytes, layer) => {
      const files = needs.files.filter((file) => file.layer === layer);
      return bytes === null ? null : neededLayer(decodeZtoc(bytes), files);
    });
  }

  /**
   * Compressed bytes of the spans that hold what is needed: more of the layers is for nothing. Null where
   * no layer has spans.
   */
  get spanBytes(): number | null {
    if (this.#layers.every((layer) => layer === null)) return null;
    return this.#layers.reduce((sum, layer) => sum + spanBytesOf(layer), 0);
  }

  /**
   * The part of a plan's ranges that is needed, 0 to 1.
   * @param digests of the layers, lowest first.
   */
  shareOf(plan: Uint8Array<ArrayBuffer>, digests: readonly string[]): number {
    const order = decodePlan(plan);
    let all = 0;
    let needed = 0;
    for (const range of order.ranges) {
      const layer = this.#layers[digests.indexOf(order.layers[range.layer]!)];
      all += range.length;
      needed += layer ? overlap(layer.ranges, range) : 0;
    }
    return all === 0 ? 1 : needed / all;
  }
}

function neededLayer(ztoc: Ztoc, files: Needs["files"]): NeededLayer {
  const offsets = offsetsByPath(ztoc);
  const ranges = files.flatMap(({ path, ranges }) => {
    const start = offsets.get(path);
    if (start === undefined) throw new Error(`no ztoc lists ${path}`);
    return ranges.map(({ offset, length }) => ({
      offset: start + offset,
      length,
    }));
  });
  ranges.sort((a, b) => a.offset - b.offset);
  return { spans: spanTable(ztoc), ranges };
}

function spanBytesOf(layer: NeededLayer | null): number {
  if (layer === null) return 0;
  const { spans, ranges } = layer;
  const touched = new Set<number>();
  for (const { offset, length } of ranges) {
    const last = spans.spanAt(offset + length - 1);
    for (let span = spans.spanAt(offset); span <= last; span++) {
      touched.add(span);
    }
  }
  return [...touched].reduce(
    (sum, span) =>
      sum + spans.compressedEnd(span) - spans.compressedStart(span),
    0,
  );
}

/** Bytes of `range` that lie in some ranges. */
function overlap(ranges: readonly Range[], { offset, length }: Range): number {
  const end = offset + length;
  return ranges.reduce((sum, other) => {
    const from = Math.max(offset, other.offset);
    const to = Math.min(end, other.offset + other.length);
    return sum + Math.max(0, to - from);
  }, 0);
}

/** Where files' data begins, by path without a leading `./`, by all their names. */
function offsetsByPath({ entries }: Ztoc): Map<string, number> {
  const decoder = new TextDecoder();
  const clean = (name: Uint8Array) =>
    decoder.decode(name).replace(/^\.?\//, "");
  const offsets = new Map<string, number>();
  for (const { name, type, offset, linkname } of entries) {
    if (type === "reg") offsets.set(clean(name), offset);
    if (type !== "hardlink") continue;
    const target = offsets.get(clean(linkname));
    if (target !== undefined) offsets.set(clean(name), target);
  }
  return offsets;
}
