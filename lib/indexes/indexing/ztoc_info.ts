import {
  decodeCheckpoints,
  decodeFrameSpans,
  decodeTarSpans,
  spanTable,
  type Ztoc,
} from "../../formats/ztoc/mod.ts";

/** A ztoc for people and scripts, with the existing tools' keys. */
export interface ZtocInfo {
  /** Of the format. */
  readonly version: string;
  /** Who made the ztoc. */
  readonly build_tool: string;
  /** Bytes of the ztoc itself. */
  readonly size: number;
  /** The span size asked for, bytes. */
  readonly span_size: number;
  /** How many spans the layer has. */
  readonly num_spans: number;
  /** How many entries the layer has, directories and links counted. */
  readonly num_files: number;
  /** Files whose bytes lie in more than one span. */
  readonly num_multi_span_files: number;
  /** Every entry, in tar order: its place in the tar, and the spans it lies in. */
  readonly files: readonly {
    readonly filename: string;
    readonly offset: number;
    readonly size: number;
    readonly type: string;
    readonly start_span: number;
    readonly end_span: number;
  }[];
}

const DECODE = {
  gzip: decodeCheckpoints,
  uncompressed: decodeTarSpans,
  zstd: decodeFrameSpans,
} as const;

/** What a ztoc holds. @param sizeBytes of the ztoc itself. @throws ZtocError */
export function ztocInfo(ztoc: Ztoc, sizeBytes: number): ZtocInfo {
  const spans = spanTable(ztoc);
  const spanAt = (offset: number) => spans.first + spans.spanAt(offset);
  const decoder = new TextDecoder();
  const files = ztoc.entries.map(({ name, offset, size, type }) => {
    // An empty file lies where its bytes would begin, which may be the very end of the tar.
    const start = spanAt(Math.min(offset, ztoc.uncompressedSize - 1));
    return {
      filename: decoder.decode(name),
      offset,
      size,
      type,
      start_span: start,
      end_span: size === 0 ? start : spanAt(offset + size - 1),
    };
  });
  return {
    version: ztoc.version,
    build_tool: ztoc.buildTool,
    size: sizeBytes,
    span_size: DECODE[ztoc.compression](ztoc.checkpoints).spanSize,
    num_spans: ztoc.spanDigests.length,
    num_files: files.length,
    num_multi_span_files:
      files.filter((file) => file.start_span !== file.end_span).length,
    files,
  };
}
