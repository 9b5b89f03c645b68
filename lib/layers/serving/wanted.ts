import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanSource } from "../spans/mod.ts";
import type { LayerIdentity, SlotRecord, ZtocPlace } from "../store/mod.ts";

/** A layer to open. */
export interface WantedLayer {
  /** The slot that the slot table gives this identity. */
  readonly slot: number;
  /** The layer's digest and the ztoc's. */
  readonly identity: LayerIdentity;
  /** `NO_PACK`, or the digest of the load order whose pack's bytes it may hold. */
  readonly pack: string;
  /** The ztoc, of the digest that `identity` names. Its bytes belong to the layer from then on. */
  readonly ztoc: ZtocPlace;
  /** Diff ID that the whole tar must have; null when that was checked already. */
  readonly diffId: Digest | null;
  /** Where its bytes come from. The layer owns it and disposes of it. */
  readonly source: SpanSource;
  /** Who brought the source: see `OpenLayer.addSource`. */
  readonly claimant: string;
  /** What becomes of a ztoc that takes too much memory: see `LayerOpener.open`. */
  readonly costly: "refused" | "alone";
}

/** What is wanted of a slot's layer. @param ztocBytes null: the ztoc is on disk. */
export function wantedOf(
  { slot, layerDigest, ztocDigest, pack }: SlotRecord,
  ztocBytes: Uint8Array<ArrayBuffer> | null,
): Pick<WantedLayer, "slot" | "identity" | "pack" | "ztoc"> {
  return {
    slot,
    pack,
    identity: { layerDigest, ztocDigest },
    ztoc: ztocBytes === null
      ? { kind: "folder", digest: ztocDigest as Digest }
      : { kind: "bytes", bytes: ztocBytes },
  };
}

/** The name of a source's repository: the default claimant. */
export function sourceName({ host, repository = "" }: SpanSource): string {
  return `${host}/${repository}`;
}
