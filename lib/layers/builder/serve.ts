/**
 * What an indexing Worker does: one pass over a layer's bytes gives its ztoc, digest and diff ID.
 * See `messages.ts` for the protocol.
 * @module
 */
import { DeflateError } from "../../formats/deflate/mod.ts";
import { TarError } from "../../formats/tar/mod.ts";
import { ZstdError, type ZstdErrorCode } from "../../formats/zstd/mod.ts";
import { openZtoc, ZtocBuilder, ZtocError } from "../../formats/ztoc/mod.ts";
import { answerThread, RingReader } from "../../host/threads/mod.ts";
import { TreeCompileError } from "../tree/mod.ts";
import { assertTree } from "../compiler/mod.ts";
import type { FromIndexer, IndexingReason, ToIndexer } from "./messages.ts";
import { type TarSink, TarSinkError } from "./tar_sink.ts";

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

/** @returns the size of the ztoc; 0: there is none. */
function index(
  order: ToIndexer,
  reader: RingReader,
  send: Send,
  makeSink: ((path: string) => TarSink) | null,
): number {
  const { data } = order;
  if (data !== null && makeSink === null) {
    throw new Error("this indexer writes nothing");
  }
  using sink = data === null ? null : makeSink!(data);
  const builder = new ZtocBuilder({
    compression: order.compression,
    spanSize: order.spanSizeBytes,
    buildTool: order.buildTool,
    diffId: order.diffId,
    windows: order.windows,
    ...(order.known !== null && { known: openZtoc(order.known) }),
    ...(sink !== null && {
      onOutput: (bytes: Uint8Array) => sink.write(bytes),
    }),
  });
  if (reader.readAll((piece) => builder.push(piece)) === "given-up") {
    send({ kind: "dropped" });
    return 0;
  }
  const { bytes, compressedSize, uncompressedSize, ...rest } = builder
    .finishEncoded();
  assertTree(builder.entries(), uncompressedSize);
  sink?.end(uncompressedSize);
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
 * Answers the orders that come to this Worker.
 * @param makeSink makes what takes a layer's tar, where an order wants that. Default: no order does.
 * @param afterLarge called after a layer whose ztoc left much garbage.
 */
export function serveIndexer(
  makeSink: ((path: string) => TarSink) | null = null,
  afterLarge: () => void = () => {},
): void {
  const send = answerThread<ToIndexer, FromIndexer>((order) => {
    const reader = new RingReader(order.ring);
    try {
      const ztocBytes = index(order, reader, send, makeSink);
      if (ztocBytes >= LARGE_ZTOC_BYTES) afterLarge();
    } catch (error) {
      reader.stop();
      send({
        kind: "failed",
        reason: reasonOf(error),
        message: error instanceof Error ? error.message : String(error),
      });
    }
  });
}
