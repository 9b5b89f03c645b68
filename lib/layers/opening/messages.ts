/**
 * Messages between the main isolate and an opening Worker, which does one thing at a time. Large buffers
 * are transferred, so they are never there twice.
 * @module
 */
import { buffersOf } from "../../formats/ztoc/mod.ts";
import type { NewFiles } from "../store/mod.ts";
import type { ChainOrder, WriteOrder } from "./chain.ts";
import type { Failure } from "./failures.ts";
import type { MadeLayer, OpeningOrder } from "./make.ts";

/** To the Worker. */
export type ToOpener =
  | { readonly kind: "layer"; readonly order: OpeningOrder }
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
  | { readonly kind: "chain"; readonly record: string | null }
  | { readonly kind: "write" };

/** From the Worker. */
export type FromOpener =
  | Done
  | { readonly kind: "failed"; readonly failure: Failure };

/** What is transferred with an order. */
export function buffersToOpener(message: ToOpener): ArrayBuffer[] {
  if (message.kind !== "layer") return [];
  const { ztoc } = message.order;
  return ztoc.kind === "folder" ? [] : [ztoc.bytes.buffer];
}

/** What is transferred with an answer. */
export function buffersFromOpener(message: FromOpener): ArrayBuffer[] {
  if (message.kind !== "layer") return [];
  const { layer: { spans, headers, tree }, files: { files } } = message;
  return [
    ...buffersOf(spans),
    ...headers === null ? [] : [
      headers.ranges.buffer,
      headers.crossing.buffer,
    ],
    tree.spanStarts.buffer,
    ...files.map(({ bytes }) => bytes.buffer),
  ];
}
