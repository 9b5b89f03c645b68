import type { Digest } from "../../formats/oci/mod.ts";
import type { OpenLayer } from "../../layers/serving/mod.ts";

/** What the load order of one image has brought so far, and what of it was of use. */
export interface OrderFigures {
  /** As it was named when it was first prepared. */
  readonly image: string;
  /** Of its manifest. */
  readonly manifest: Digest;
  /** Which workload the order is for. */
  readonly workload: string;
  /** The digest of the load order; null where this node recorded a start itself, and has no other. */
  readonly order: Digest | null;
  /** Whether the image's own digest covers it. */
  readonly isPinned: boolean;
  /** Whether a span showed that its pack held other bytes: nothing of it is used any more. */
  readonly lied: boolean;
  /** By packs, bytes of the layers' tars. */
  readonly pack: {
    /** Ahead of their spans. */
    readonly broughtBytes: number;
    /** Of those the ones that somebody has read. */
    readonly hitBytes: number;
    /** Of those the ones that nobody has read yet. */
    readonly wastedBytes: number;
    /** Asked for by readers that then waited for them to come. */
    readonly lateBytes: number;
    /** How many reads that were. */
    readonly lateReads: number;
  };
  /** By spans that were fetched because the order names them, compressed bytes. */
  readonly spans: {
    readonly broughtBytes: number;
    readonly hitBytes: number;
    /** At most: read-ahead that was not read either counts with them. */
    readonly wastedBytes: number;
  };
}

/** What a replay is known by, and what it counts. */
export interface CountedReplay
  extends Pick<OrderFigures, "image" | "manifest" | "workload" | "isPinned"> {
  /** Of its load order. */
  readonly digest: Digest;
  /** Whether it is of a start that this node recorded. */
  readonly isLearned: boolean;
  /** The image's layers that are served. */
  readonly layers: readonly CountedLayer[];
  /** Compressed bytes of spans that were fetched for the order's sake. */
  readonly hintedBytes: number;
}

/** What is looked at of a layer. */
export interface CountedLayer {
  readonly pack: Pick<OpenLayer["pack"], "use" | "lied">;
  readonly reader: Pick<OpenLayer["reader"], "unreadAheadBytes">;
}

/** Sums up what a replay's layers counted; those that are served no longer have taken theirs along. */
export function figuresOf(replay: CountedReplay): OrderFigures {
  const { image, manifest, workload, isPinned, digest, layers } = replay;
  const sum = (value: (layer: CountedLayer) => number) =>
    layers.reduce((sum, layer) => sum + value(layer), 0);
  const broughtBytes = sum(({ pack }) => pack.use.arrivedBytes);
  // Ranges that are evicted were here, and count as read once they have been.
  const hitBytes = Math.min(
    broughtBytes,
    sum(({ pack }) => pack.use.readBytes),
  );
  const { hintedBytes } = replay;
  const unreadBytes = Math.min(
    hintedBytes,
    sum(({ reader }) => reader.unreadAheadBytes),
  );
  return {
    ...{ image, manifest, workload, isPinned },
    order: replay.isLearned ? null : digest,
    lied: layers.some(({ pack }) => pack.lied.aborted),
    pack: {
      ...{ broughtBytes, hitBytes, wastedBytes: broughtBytes - hitBytes },
      lateBytes: sum(({ pack }) => pack.use.lateBytes),
      lateReads: sum(({ pack }) => pack.use.lateReads),
    },
    spans: {
      broughtBytes: hintedBytes,
      hitBytes: hintedBytes - unreadBytes,
      wastedBytes: unreadBytes,
    },
  };
}
