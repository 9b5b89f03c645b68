/** How much of what was fetched of layers a start read. @module */
import {
  decodeZtoc,
  spanTable,
  type Ztoc,
} from "../../../lib/formats/ztoc/mod.ts";
import type { Needs } from "./needs.ts";

/**
 * Compressed bytes of the spans that hold what a start needs: what is fetched beyond them was for
 * nothing.
 * @param ztocs of each layer, lowest first; null for a layer without one.
 */
export function neededSpanBytes(
  needs: Needs,
  ztocs: ReadonlyArray<Uint8Array<ArrayBuffer> | null>,
): number {
  return ztocs.reduce((sum, bytes, layer) => {
    const files = needs.files.filter((file) => file.layer === layer);
    if (bytes === null || files.length === 0) return sum;
    return sum + spansOf(decodeZtoc(bytes), files);
  }, 0);
}

function spansOf(ztoc: Ztoc, files: Needs["files"]): number {
  const spans = spanTable(ztoc);
  const offsets = offsetsByPath(ztoc);
  const touched = new Set<number>();
  for (const { path, ranges } of files) {
    const start = offsets.get(path);
    if (start === undefined) throw new Error(`no ztoc lists ${path}`);
    for (const { offset, length } of ranges) {
      const last = spans.spanAt(start + offset + length - 1);
      for (let span = spans.spanAt(start + offset); span <= last; span++) {
        touched.add(span);
      }
    }
  }
  return [...touched].reduce(
    (sum, span) =>
      sum + spans.compressedEnd(span) - spans.compressedStart(span),
    0,
  );
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
