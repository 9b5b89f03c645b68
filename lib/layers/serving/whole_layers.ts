import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanSource } from "../spans/mod.ts";
import {
  hasWholeData,
  LostZtocError,
  NO_PACK,
  SHARED,
  type SlotTableStore,
  wasEmptied,
} from "../store/mod.ts";
import type { OpenLayer } from "./open_layer.ts";
import { type WantedLayer, wantedOf } from "./wanted.ts";
import { ztocDigestOf } from "./ztoc_digest.ts";

/** What whole layers are opened with. */
export interface WholeLayersOptions {
  /** Which layers there are, and who may have them. */
  readonly slots: SlotTableStore;
  /** Of a slot. */
  readonly folder: (slot: number) => string;
  /** One more user of a slot's layer, which is opened where it is not. Takes the source over. */
  readonly open: (wanted: WantedLayer) => Promise<OpenLayer>;
  /** Undoes one `open`. */
  readonly leave: (slot: number) => void;
  /** The background gives way until that is disposed of: see `BackgroundHold`. */
  readonly holdBackground: () => Disposable;
}

/** A layer that was fetched whole, and what it was proven to be. */
export interface ProvenLayer {
  /** Of the blob. */
  readonly layerDigest: Digest;
  /** Of its tar. */
  readonly diffId: Digest;
  /** From whose registry it came: see `OpenLayer.addSource`. */
  readonly claimant: string;
}

/** Layers all of whose bytes were proven before they are shown. */
export class WholeLayers {
  readonly #options: WholeLayersOptions;

  /** The options' parts stay the caller's. */
  constructor(options: WholeLayersOptions) {
    this.#options = options;
  }

  /** A layer is fetched whole until this is disposed of: somebody waits, so the background of lazy layers does. */
  begin(): Disposable {
    return this.#options.holdBackground();
  }

  /**
   * Serves a layer whose whole blob this process has just fetched from a claimant's registry and compared with both
   * digests, by a ztoc it has made itself. Undone by one `LayerStore.release`.
   * @param data a file with all of its tar, on the file system of the root. It is moved, unless the layer is served
   * already.
   * @throws ZtocError, TreeCompileError, CostlyZtocError, OsError, FileError
   */
  async add(
    { layerDigest, diffId, claimant }: ProvenLayer,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    data: string,
  ): Promise<OpenLayer> {
    const identity = { layerDigest, ztocDigest: await ztocDigestOf(ztocBytes) };
    const { slots, open } = this.#options;
    const { slot } = slots.assign(identity, { diffId, domain: SHARED });
    slots.claim(slot, claimant, "proven");
    return await open({
      ...{ slot, identity, pack: NO_PACK, source, diffId, claimant, data },
      ztoc: { kind: "bytes", bytes: ztocBytes },
      costly: "refused",
    });
  }

  /**
   * Serves a layer that is on this disk, whole and proven, to a claimant whose registry gave it before. Undone by one
   * `LayerStore.release`.
   * @returns null when there is none.
   * @throws as `add`
   */
  find(
    layer: ProvenLayer,
    makeSource: () => SpanSource,
  ): Promise<OpenLayer | null> {
    return this.#find(layer, makeSource, {
      isHere: hasWholeData,
      isRight: ({ isWhole }) => isWhole,
    });
  }

  /**
   * The same of a layer that was on this disk, and whose bytes were given up: they are fetched in parts, by the ztoc
   * that was made of them here.
   * @param sizeBytes of the blob. A ztoc of the tar alone is of no use.
   */
  findEmptied(
    layer: ProvenLayer,
    makeSource: () => SpanSource,
    sizeBytes: number,
  ): Promise<OpenLayer | null> {
    return this.#find(layer, makeSource, {
      isHere: wasEmptied,
      isRight: ({ compressedSize }) => compressedSize === sizeBytes,
    });
  }

  async #find(
    { layerDigest, diffId, claimant }: ProvenLayer,
    makeSource: () => SpanSource,
    { isHere, isRight }: {
      readonly isHere: (folder: string) => boolean;
      readonly isRight: (layer: OpenLayer) => boolean;
    },
  ): Promise<OpenLayer | null> {
    const { slots, folder, open, leave } = this.#options;
    for (const record of slots.ofLayer(layerDigest)) {
      const { slot, pack } = record;
      if (record.diffId !== diffId || pack !== NO_PACK) continue;
      if (!isHere(folder(slot))) continue;
      if (slots.claimOf(slot, claimant) === null) continue;
      if (slots.condemned(record, diffId) !== null) continue;
      try {
        const layer = await open({
          ...wantedOf(record, null),
          ...{ source: makeSource(), diffId, claimant, costly: "refused" },
        });
        if (isRight(layer)) return layer;
        layer.removeSource(claimant);
        leave(slot);
      } catch (error) {
        if (!(error instanceof LostZtocError)) throw error;
      }
    }
    return null;
  }
}
