import {
  type ImageLayer,
  type IndexedImage,
  ztocOf,
} from "../../remote/image/mod.ts";
import type { ServedLayer } from "../snapshotter/mod.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";
import type { BroughtFor } from "./brought_for.ts";
import type { Claimant } from "./claimants.ts";

/** A claimant's use of a layer: one for all its snapshots that are built on it. */
export interface Use {
  /** Names it among all uses. */
  readonly key: string;
  /** Whose it is. */
  readonly claimant: string;
  /** Opening, or open. */
  readonly layer: Promise<OpenLayer>;
  /** Until when it is opening. */
  readonly brought: BroughtFor;
  /** Where the open layer is shown; null while it is opening, or when it could not be opened. */
  open: ServedLayer | null;
  /** Whether it is over. */
  hasEnded: boolean;
  /** Ends the use of a layer that was opened ahead. Null once somebody asked for it: then snapshots decide. */
  ahead: ReturnType<typeof setTimeout> | null;
  /** Its place among the layers that were opened ahead. */
  place: Disposable | null;
}

/** From now on it is not one of the layers that were opened ahead. */
export function notAhead(use: Use): void {
  if (use.ahead !== null) clearTimeout(use.ahead);
  use.ahead = null;
  use.place?.[Symbol.dispose]();
  use.place = null;
}

/** Where an open layer is shown. */
export function served(
  { slot, layerDigest, directory, owner }: OpenLayer,
): ServedLayer {
  return { slot, layerDigest, directory, owner };
}

/**
 * Which claimant uses which layer. Each Prepare of an image asks for all layers below, so those of an image are
 * found by their position, without names being made for them.
 */
export class LayerUses {
  /** By claimant, layer, diff ID, ztoc and pack. `LayerStore.claim` decides which served layer that is. */
  readonly #uses = new Map<string, Use>();
  /** By claimant, then by position. What has ended is looked up again. */
  readonly #ofImages = new WeakMap<
    IndexedImage,
    Map<string, (Use | undefined)[]>
  >();

  readonly #packOf: (image: IndexedImage, layer: ImageLayer) => string;

  /** None yet. @param packOf under which pack a layer of an image is opened: see `Replays.packOf`. */
  constructor(packOf: (image: IndexedImage, layer: ImageLayer) => string) {
    this.#packOf = packOf;
  }

  /** The use of one layer of an image; undefined when there is none. */
  of(
    image: IndexedImage,
    layer: ImageLayer,
    claimant: Claimant,
  ): Use | undefined {
    const ofImage = this.#ofImages.getOrInsertComputed(image, () => new Map())
      .getOrInsertComputed(claimant.id, () => []);
    const known = ofImage[layer.position];
    if (known?.hasEnded === false) return known;
    return ofImage[layer.position] = this.#uses.get(
      this.keyOf(image, layer, claimant),
    );
  }

  /** Names a claimant's use of one layer of an image. */
  keyOf(image: IndexedImage, layer: ImageLayer, { id }: Claimant): string {
    const { descriptor: { digest }, diffId } = layer;
    const ztoc = ztocOf(image, digest)?.digest ?? "whole";
    return `${id} ${digest} ${diffId} ${ztoc} ${this.#packOf(image, layer)}`;
  }

  /** Adds one. @param onOpen called when the layer is open. */
  add(
    { key, claimant, layer, brought }: Pick<
      Use,
      "key" | "claimant" | "layer" | "brought"
    >,
    onOpen: (layer: OpenLayer) => void,
  ): Use {
    const use: Use = {
      ...{ key, layer, claimant, brought, open: null, hasEnded: false },
      ...{ ahead: null, place: null },
    };
    this.#uses.set(key, use);
    layer.then(
      (opened) => {
        use.open = served(opened);
        onOpen(opened);
      },
      () => this.end(use), // it is not open
    );
    return use;
  }

  /** Forgets a use and stops its timer. */
  end(use: Use): void {
    notAhead(use);
    use.hasEnded = true;
    if (this.#uses.get(use.key) === use) this.#uses.delete(use.key);
  }

  /** Those of an open layer for a claimant. */
  inSlot(slot: number, claimant: string): Use[] {
    return this.all().filter((use) =>
      use.open?.slot === slot && use.claimant === claimant
    );
  }

  /** All of them. */
  all(): Use[] {
    return [...this.#uses.values()];
  }
}
