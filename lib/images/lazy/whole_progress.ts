import type { Descriptor } from "../../formats/oci/mod.ts";

/** A layer on its way. */
export interface LayerProgress {
  /** Of its blob. */
  readonly digest: string;
  /** Bytes of the blob. */
  readonly size: number;
  /** Bytes that came. */
  readonly bytes: number;
}

/** What came of layers that are being taken whole. */
export class WholeProgress {
  readonly #images = new Map<
    string,
    Map<string, { -readonly [K in keyof LayerProgress]: LayerProgress[K] }>
  >();

  /**
   * A layer is being taken.
   * @param image names it.
   * @returns to be told of bytes, and disposed of when the layer is here, or will not be.
   */
  begin(
    image: string,
    { digest, size }: Pick<Descriptor, "digest" | "size">,
  ): Disposable & { came(bytes: number): void } {
    const layers = this.#images.getOrInsertComputed(image, () => new Map());
    const layer = { digest, size, bytes: 0 };
    layers.set(digest, layer);
    return {
      came: (bytes) => {
        layer.bytes += bytes;
      },
      [Symbol.dispose]: () => {
        layers.delete(digest);
        if (layers.size === 0) this.#images.delete(image);
      },
    };
  }

  /** The layers that are on their way, of all images. */
  *all(): Generator<LayerProgress & { readonly image: string }, void, void> {
    for (const [image, layers] of this.#images) {
      for (const layer of layers.values()) yield { image, ...layer };
    }
  }
}
