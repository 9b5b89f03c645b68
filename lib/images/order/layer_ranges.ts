import type { OrderRange } from "../../formats/order/mod.ts";
import type { Descriptor } from "../../formats/oci/mod.ts";
import type { Ztoc } from "../../formats/ztoc/mod.ts";
import { SpanBytes } from "../../indexes/indexing/mod.ts";
import type { LayerSource } from "../../remote/content/mod.ts";
import type { FileExtent } from "./ranges.ts";

/** A layer's files that hold bytes, by offset. */
export function filesOf({ entries }: Pick<Ztoc, "entries">): FileExtent[] {
  return entries.filter(({ type, size }) => type === "reg" && size > 0)
    .map(({ offset, size }) => ({ offset, size }));
}

/**
 * Reads ranges of one layer out of its spans, each of which is fetched once and checked.
 * @param ranges inside the layer.
 * @returns the bytes of each, in their order.
 * @throws ContentError, RegistryError, DeflateError, ZstdError
 */
export async function readRanges(
  source: LayerSource,
  layer: Descriptor,
  ztoc: Ztoc,
  ranges: readonly Pick<OrderRange, "offset" | "length">[],
  options: {
    readonly signal: AbortSignal;
    /** Told after each span. */
    readonly onSpan: () => void;
  },
): Promise<Uint8Array[]> {
  const reader = new SpanBytes(source, layer, ztoc);
  const { spans } = reader;
  const wanted = new Map<number, number[]>();
  for (const [i, { offset, length }] of ranges.entries()) {
    const last = spans.spanAt(offset + length - 1);
    for (let span = spans.spanAt(offset); span <= last; span++) {
      wanted.getOrInsert(span, []).push(i);
    }
  }
  const found = ranges.map(({ length }) => new Uint8Array(length));
  for (const [span, holders] of [...wanted].sort(([a], [b]) => a - b)) {
    const bytes = await reader.read(span, options.signal);
    const [start, end] = [spans.start(span), spans.end(span)];
    for (const i of holders) {
      const { offset, length } = ranges[i]!;
      const from = Math.max(start, offset);
      const to = Math.min(end, offset + length);
      found[i]!.set(bytes.subarray(from - start, to - start), from - offset);
    }
    options.onSpan();
  }
  return found;
}
