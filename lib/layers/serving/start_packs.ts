import { type LayerIdentity, NO_PACK } from "../store/mod.ts";
import type { Machinery } from "./machinery.ts";
import type { OpenLayer } from "./open_layer.ts";

/** What a store knows of start packs beyond the layers that hold their bytes. */
export class StartPacks {
  readonly #machinery: Machinery;
  readonly #all: () => readonly OpenLayer[];

  /** Knows nothing by itself. @param all every served layer of that machinery. */
  constructor(machinery: Machinery, all: () => readonly OpenLayer[]) {
    this.#machinery = machinery;
    this.#all = all;
  }

  /**
   * Why a pack must not be used for an image with those layers; null if it may.
   * @param pack the digest of its load order.
   */
  condemned(pack: string, layers: readonly LayerIdentity[]): string | null {
    return this.#machinery.slots.condemnedPack(pack, layers);
  }

  /** Whether a layer is here whole, so that a pack would bring nothing. */
  isWhole({ layerDigest, ztocDigest }: LayerIdentity): boolean {
    return this.#all().some(({ identity, reader, pack }) =>
      identity.layerDigest === layerDigest &&
      identity.ztocDigest === ztocDigest && pack.digest === NO_PACK &&
      reader.complete
    );
  }

  /** Whether readers wait for bytes of a registry that are fetched by spans. */
  readersWait(host: string): boolean {
    return this.#machinery.scheduler.readersWait(host);
  }

  /** Whether the disk takes more bytes, and the cache as many without giving up others. */
  hasRoom(bytes: number): boolean {
    const { cache, uncached } = this.#machinery;
    return uncached.mayTakeRoom && cache.roomBytes >= bytes;
  }
}
