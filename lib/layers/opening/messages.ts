/**
 * Messages between the main isolate and an opening Worker, which does one thing at a time. Large buffers
 * are transferred, so they are never there twice.
 * @module
 */
import { buffersOf, buffersOfWindows } from "../../formats/ztoc/mod.ts";
import type { NewFiles, RestOrder, ZtocRest } from "../store/mod.ts";
import type { ChainOrder, WriteOrder } from "./chain.ts";
import type { Failure } from "./failures.ts";
import type { MadeLayer, OpeningOrder } from "./make.ts";

/** To the Worker. */
export type ToOpener =
  | { readonly kind: "layer"; readonly order: OpeningOrder }
  | { readonly kind: "rest"; readonly order: RestOrder }
  | { readonly kind: "chain"; readonly order: ChainOrder }
  | { readonly kind: "write"; readonly order: WriteOrder };

/** What is given for an order. */
export type Done =
  | {
    readonly kind: "layer";
    readonly layer: MadeLayer;
    /** To be put on disk. */
    readonly files: NewFiles;
  }
  | {
    readonly kind: "rest";
    readonly rest: ZtocRest;
    /** The ztoc, given back. */
    readonly bytes: Uint8Array<ArrayBuffer>;
  }
  | { readonly kind: "chain"; readonly record: string | null }
  | { readonly kind: "write" };

/** From the Worker. */
export type FromOpener =
  | Done
  | { readonly kind: "failed"; readonly failure: Failure };

/** What is transferred with an order. */
export function buffersToOpener(message: ToOpener): ArrayBuffer[] {
  if (message.kind === "rest") return [message.order.bytes.buffer];
  if (message.kind !== "layer") return [];
  const { ztoc } = message.order;
  return ztoc.kind === "folder" ? [] : [ztoc.bytes.buffer];
}

/** What is transferred with an answer. */
export function buffersFromOpener(message: FromOpener): ArrayBuffer[] {
  if (message.kind === "rest") {
    const { rest: { windows, headers }, bytes } = message;
    return [...buffersOfWindows(windows), ...ofHeaders(headers), bytes.buffer];
  }
  if (message.kind !== "layer") return [];
  const { layer: { spans, headers, tree }, files: { files } } = message;
  return [
    ...buffersOf(spans),
    ...ofHeaders(headers),
    tree.spanStarts.buffer,
    ...files.map(({ bytes }) => bytes.buffer),
  ];
}

function ofHeaders(headers: ZtocRest["headers"]): ArrayBuffer[] {
  return headers === null
    ? []
    : [headers.ranges.buffer, headers.crossing.buffer];
}
