/**
 * The indexing Worker: one pass over a layer's bytes gives its ztoc, digest and diff ID.
 * See `messages.ts` for the protocol.
 * @module
 */
/// <reference lib="deno.worker" />
import { encodeZtoc, ZtocBuilder } from "../ztoc/mod.ts";
import type { FromIndexer, ToIndexer } from "./messages.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

function send(message: FromIndexer, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

let builder: ZtocBuilder | null = null;

function handle(message: ToIndexer): void {
  switch (message.kind) {
    case "start":
      builder = new ZtocBuilder({
        compression: message.compression,
        spanSize: message.spanSizeBytes,
        buildTool: message.buildTool,
      });
      return;
    case "chunk": {
      const bytes = message.bytes.length;
      builder?.push(message.bytes);
      send({ kind: "consumed", bytes });
      return;
    }
    case "end": {
      if (builder === null) return;
      const { ztoc, digest, diffId } = builder.finish();
      builder = null;
      const encoded = encodeZtoc(ztoc);
      send({
        kind: "done",
        layer: {
          ztoc: encoded,
          digest,
          diffId,
          spanCount: ztoc.spanDigests.length,
          entryCount: ztoc.entries.length,
          compressedSizeBytes: ztoc.compressedSize,
          uncompressedSizeBytes: ztoc.uncompressedSize,
        },
      }, [encoded.buffer]);
      return;
    }
  }
}

scope.onmessage = ({ data }: MessageEvent<ToIndexer>) => {
  try {
    handle(data);
  } catch (error) {
    builder = null; // later chunks of this layer are dropped until the next `start`
    send({
      kind: "failed",
      message: error instanceof Error ? error.message : String(error),
    });
  }
};
send({ kind: "ready" });
