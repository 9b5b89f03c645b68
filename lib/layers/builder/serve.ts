/**
 * What an indexing Worker does: one pass over a layer's bytes gives its ztoc, digest and diff ID.
 * See `messages.ts` for the protocol.
 * @module
 */
import { DeflateError } from "../../formats/deflate/mod.ts";
import { TarError } from "../../formats/tar/mod.ts";
import { ZstdError, type ZstdErrorCode } from "../../formats/zstd/mod.ts";
import {
  type EncodedZtoc,
  ZtocBuilder,
  ZtocError,
} from "../../formats/ztoc/mod.ts";
import { answerThread, RingReader } from "../../host/threads/mod.ts";
import { TreeCompileError } from "../tree/mod.ts";
import { TreeCheck } from "../compiler/mod.ts";
import type { FromIndexer, IndexingReason, ToIndexer } from "./messages.ts";
import { type TarSink, TarSinkError } from "./tar_sink.ts";
import type { ComingLayer } from "./units.ts";

/** A ztoc of at least this size leaves much garbage. */
const LARGE_ZTOC_BYTES = 8 * 2 ** 20;

type Send = (message: FromIndexer, transfer?: Transferable[]) => void;

const ZSTD_REASON: Readonly<Record<ZstdErrorCode, IndexingReason>> = {
  damaged: "damaged",
  "not-seekable": "unsupported",
  "too-large": "too-large",
};

function reasonOf(error: unknown): IndexingReason {
  if (error instanceof DeflateError) return "damaged";
  if (error instanceof TarSinkError) return "disk";
  if (error instanceof TreeCompileError) return "unservable";
  if (error instanceof ZstdError) return ZSTD_REASON[error.code];
  if (error instanceof ZtocError) {
    return error.code === "too-large" ? "too-large" : "internal";
  }
  if (!(error instanceof TarError)) return "internal";
  switch (error.code) {
    case "sparse":
      return "sparse";
    case "unsupported-type":
      return "unsupported";
    case "too-long":
      return "too-large";
    default:
      return "damaged";
  }
}

/** What an indexing Worker can do beside indexing what comes through a ring. Default: nothing. */
export interface IndexerParts {
  /** Makes what takes a layer's tar, where an order wants that. */
  readonly makeSink?: (path: string) => TarSink;
  /**
   * Indexes a layer whose units come into files. @param onPushed called now and then while it is walked, and at the end.
   * @returns null where they were given up.
   */
  readonly indexUnits?: (
    coming: ComingLayer,
    order: ToIndexer,
    onPushed: (builder: ZtocBuilder) => void,
  ) => EncodedZtoc | null;
  /** Called after a layer whose ztoc left much garbage. */
  readonly afterLarge?: () => void;
}

/** @returns the size of the ztoc; 0: there is none. */
function index(
  order: ToIndexer,
  reader: RingReader | null,
  send: Send,
  parts: IndexerParts,
): number {
  const done = written(order, reader, parts);
  if (done === null) {
    send({ kind: "dropped" });
    return 0;
  }
  const { bytes, compressedSize, uncompressedSize, ...rest } = done;
  const layer = {
    ...rest,
    ztoc: bytes,
    compressedSizeBytes: compressedSize,
    uncompressedSizeBytes: uncompressedSize,
  };
  const size = bytes.length; // it has none once it is sent
  send({ kind: "done", layer }, [bytes.buffer]);
  return size;
}

/**
 * What comes of a layer, whose file, where there is one, is complete and closed then: whoever is told may remove it, and
 * has its room at once.
 */
function written(
  order: ToIndexer,
  reader: RingReader | null,
  { makeSink, indexUnits }: IndexerParts,
): EncodedZtoc | null {
  const { data, from } = order;
  if (data !== null && makeSink === undefined) {
    throw new Error("this indexer writes nothing");
  }
  using sink = data === null ? null : makeSink!(data);
  const tree = new TreeCheck();
  const onPushed = (builder: ZtocBuilder) =>
    tree.take(builder.entries(tree.count));
  const built = reader === null
    ? indexUnits!(from as ComingLayer, order, onPushed)
    : indexRing(order, reader, sink, onPushed);
  if (built === null) return null;
  tree.finish();
  sink?.end(built.uncompressedSize);
  return built;
}

function indexRing(
  order: ToIndexer,
  reader: RingReader,
  sink: TarSink | null,
  onPushed: (builder: ZtocBuilder) => void,
): EncodedZtoc | null {
  const builder = new ZtocBuilder({
    compression: order.compression,
    spanSize: order.spanSizeBytes,
    buildTool: order.buildTool,
    diffId: order.diffId,
    windows: order.windows,
    ...(sink !== null && {
      onOutput: (bytes: Uint8Array) => sink.write(bytes),
    }),
  });
  const end = reader.readAll((piece) => {
    builder.push(piece);
    onPushed(builder);
  });
  if (end === "given-up") return null;
  const built = builder.finishEncoded();
  onPushed(builder); // some are told by the end
  return built;
}

/** Answers the orders that come to this Worker. */
export function serveIndexer(parts: IndexerParts = {}): void {
  const send = answerThread<ToIndexer, FromIndexer>((order) => {
    const reader = "units" in order.from ? null : new RingReader(order.from);
    try {
      const ztocBytes = index(order, reader, send, parts);
      if (ztocBytes >= LARGE_ZTOC_BYTES) parts.afterLarge?.();
    } catch (error) {
      reader?.stop();
      send({
        kind: "failed",
        reason: reasonOf(error),
        message: error instanceof Error ? error.message : String(error),
      });
    }
  });
}
