import { type LayerImage, makeImage } from "../faces/mod.ts";
import {
  type FolderParts,
  makeParts,
  type NewFiles,
  type PartsOrder,
} from "../store/mod.ts";
import { type TreeFacts, treeFacts } from "../tree/mod.ts";

/** A layer that is to be opened. Plain data. */
export interface OpeningOrder extends PartsOrder {
  /** Of the layer. */
  readonly slot: number;
  /** Whether its EROFS image is made. */
  readonly image: boolean;
}

/** What a layer is served with. Plain data. */
export interface MadeLayer extends FolderParts {
  /** Of its file tree. */
  readonly tree: TreeFacts;
  /** Of its EROFS image; null where none was asked for. */
  readonly image: LayerImage | null;
}

/**
 * Makes what a layer is served with, in its folder, in a few steps.
 * @param onFiles as for `makeParts`.
 * @throws as `makeParts`
 */
export function* makeLayer(
  order: OpeningOrder,
  onFiles: (files: NewFiles) => void,
): Generator<void, MadeLayer, void> {
  const { spans, headers, tree } = yield* makeParts(order, onFiles);
  yield;
  const image = order.image ? makeImage(order.path, order.slot, tree) : null;
  return { spans, headers, tree: treeFacts(tree), image };
}
