import type { Descriptor, Digest } from "../../formats/oci/mod.ts";

/** Layers that are downloaded at a time, beside the one that is needed now. */
const AHEAD = 3;

/** Downloads of an image's layers: each is made once, and some before they are needed. */
export class Downloads {
  readonly #download: (layer: Descriptor) => Promise<void>;
  readonly #all = new Map<Digest, Promise<void>>();
  #running = 0;

  /** None yet. @param download brings one. */
  constructor(download: (layer: Descriptor) => Promise<void>) {
    this.#download = download;
  }

  /** Resolves when a layer is here. @throws what the download throws */
  of(layer: Descriptor): Promise<void> {
    return this.#all.getOrInsertComputed(layer.digest, () => {
      this.#running++;
      const download = this.#download(layer).finally(() => this.#running--);
      download.catch(() => {}); // told to whoever needs it
      return download;
    });
  }

  /** These layers will be needed, in this order: the next ones are downloaded now. */
  ahead(layers: readonly { readonly descriptor: Descriptor }[]): void {
    for (const { descriptor } of layers) {
      if (this.#running >= AHEAD) return;
      this.of(descriptor);
    }
  }

  /** Resolves when none is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#all.values());
  }
}
