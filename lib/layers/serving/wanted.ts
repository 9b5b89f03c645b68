import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanSource } from "../spans/mod.ts";
import type { ArrivedZtoc } from "./late_ztoc.ts";
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
  /** Fetches the ztoc where its head alone is here: see `ArrivedZtoc`. */
  readonly whole?: ArrivedZtoc["whole"];
  /** Diff ID that the whole tar must have; null when that was checked already. */
  readonly diffId: Digest | null;
  /** Where its bytes come from. The layer owns it and disposes of it. */
  readonly source: SpanSource;
  /** Who brought the source: see `OpenLayer.addSource`. */
  readonly claimant: string;
  /** A file with all of its tar, which was proven; the layer takes it. Absent: what its folder has. */
  readonly data?: string | undefined;
  /** What becomes of a ztoc that takes too much memory: see `LayerOpener.open`. */
  readonly costly: "refused" | "alone";
}

/** What is wanted of a slot's layer. @param ztoc null: it is on disk. */
export function wantedOf(
  { slot, layerDigest, ztocDigest, pack }: SlotRecord,
  ztoc: ArrivedZtoc | null,
): Pick<WantedLayer, "slot" | "identity" | "pack" | "ztoc" | "whole"> {
  return {
    slot,
    pack,
    identity: { layerDigest, ztocDigest },
    ztoc: ztoc === null
      ? { kind: "folder", digest: ztocDigest as Digest }
      : { kind: ztoc.whole === null ? "bytes" : "head", bytes: ztoc.bytes },
    whole: ztoc?.whole ?? null,
  };
}

/** The name of a source's repository: the default claimant. */
export function sourceName({ host, repository = "" }: SpanSource): string {
  return `${host}/${repository}`;
}
