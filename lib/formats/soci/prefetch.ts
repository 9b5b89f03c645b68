import { type Descriptor, type Digest, documentBytes } from "../oci/mod.ts";
import { spanTable, type Ztoc } from "../ztoc/mod.ts";
import { SociError } from "./errors.ts";
import { layerAnnotation } from "./index.ts";
import { MAX_PREFETCH_BYTES, SOCI_MEDIA } from "./names.ts";

/** Spans to fetch before the layer is asked for anything; both ends belong to it. */
export interface SpanRange {
  /** The first span, counted from 0. */
  readonly start: number;
  /** The last span; not before `start`. */
  readonly end: number;
  /** Kept, and of no effect in the existing reader. */
  readonly priority?: number;
}

const VERSION = "1.0";

/** Writes a prefetch list. */
export function encodePrefetch(ranges: readonly SpanRange[]): Uint8Array {
  return documentBytes({
    version: VERSION,
    prefetch_spans: ranges.map(({ start, end, priority }) => ({
      start_span: start,
      end_span: end,
      ...(priority ? { priority } : {}),
    })),
  });
}

/**
 * Reads a prefetch list from an untrusted place.
 * @param spanCount the layer's: ranges must lie inside.
 * @throws SociError
 */
export function decodePrefetch(
  bytes: Uint8Array,
  spanCount: number,
): SpanRange[] {
  if (bytes.length > MAX_PREFETCH_BYTES) {
    throw new SociError("invalid", `prefetch list of ${bytes.length} bytes`);
  }
  let value: { version?: unknown; prefetch_spans?: unknown } | null;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new SociError("invalid", "prefetch list is no JSON", { cause });
  }
  if (value?.version !== VERSION) {
    throw new SociError(
      "invalid",
      `prefetch list is not of version ${VERSION}`,
    );
  }
  const spans = value.prefetch_spans;
  if (!Array.isArray(spans) || spans.length === 0) {
    throw new SociError("invalid", "prefetch list names no spans");
  }
  return spans.map((span: Record<string, unknown> | null, i) => {
    const [start, end, priority] = [
      span?.start_span,
      span?.end_span,
      span?.priority ?? 0,
    ];
    if (
      !isIndex(start) || !isIndex(end) || start > end || end >= spanCount ||
      !Number.isSafeInteger(priority)
    ) {
      throw new SociError("invalid", `prefetch_spans[${i}] is no span range`);
    }
    return {
      start,
      end,
      ...(priority !== 0 && { priority: priority as number }),
    };
  });
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The descriptor of a prefetch list in an index. */
export function prefetchDescriptor(
  digest: Digest,
  size: number,
  layer: Pick<Descriptor, "mediaType" | "digest">,
): Descriptor {
  return {
    mediaType: SOCI_MEDIA.prefetch,
    digest,
    size,
    annotations: layerAnnotation(layer),
  };
}

/** Ranges in order, with those that overlap or touch made one. */
export function mergeSpanRanges(ranges: readonly SpanRange[]): SpanRange[] {
  const merged: Array<{ start: number; end: number }> = [];
  for (const { start, end } of ranges.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last !== undefined && start <= last.end + 1) {
      last.end = Math.max(last.end, end);
    } else {
      merged.push({ start, end });
    }
  }
  return merged;
}

/** A path without `.`, `..`, doubled, leading and trailing slashes: how layers are compared. */
export function cleanPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** The spans of each file that one layer has, by the path it was asked for; none for empty files. */
export function findPrefetch(
  ztoc: Ztoc,
  paths: Iterable<string>,
): Map<string, SpanRange[]> {
  const wanted = new Map<string, string[]>();
  for (const path of paths) {
    const clean = cleanPath(path);
    wanted.set(clean, [...(wanted.get(clean) ?? []), path]);
  }
  const spans = spanTable(ztoc);
  const decoder = new TextDecoder();
  const found = new Map<string, SpanRange[]>();
  for (const { name, type, offset, size } of ztoc.entries) {
    if (type !== "reg") continue;
    for (const path of wanted.get(cleanPath(decoder.decode(name))) ?? []) {
      const ranges = found.get(path) ?? [];
      found.set(path, ranges);
      if (size === 0) continue;
      ranges.push({
        start: spans.first + spans.spanAt(offset),
        end: spans.first + spans.spanAt(offset + size - 1),
      });
    }
  }
  return found;
}
