import { logger } from "../../telemetry/mod.ts";
import type { ChallengedLayer } from "../spans/mod.ts";

const log = logger("images");

/** A layer as its twins see it. */
export interface Twin {
  /** Its slot. */
  readonly slot: number;
  /** Digest of the layer blob. */
  readonly layerDigest: string;
  /** Of the ztoc it is served by. */
  readonly ztocDigest: string;
  /** `NO_PACK`, or the digest of the load order whose pack's bytes it may hold. */
  readonly pack: string;
  /** Diff ID that its images give it; null when none is known. */
  readonly diffId: string | null;
  /** The diff ID that the whole tar was found to have; null while it was not. */
  readonly provenDiffId: string | null;
  /** Its bytes. */
  readonly challenged: ChallengedLayer;
  /** Fills it from a proven twin, if its sources show that they have that layer. Throws what keeps it from that. */
  fillFrom(twin: Twin): Promise<void>;
  /** Takes spans from a twin by the same ztoc when they are asked for, if its sources show that they have that layer. */
  borrowFrom(twin: Twin): Promise<void>;
}

/**
 * Twins: layers of one digest and diff ID that are served by different ztocs, or for different claimants. Each
 * has a data file of its own. Once one of them is proven, the others are filled from it, so that no byte is
 * fetched twice. Before that, nothing of one is ever shown by another.
 *
 * Layers that differ by their packs alone have one ztoc, so their spans are the same bytes by the same digests: what
 * the one has fetched and checked, the other need not fetch. What came by a pack stays where it is.
 */
export class Twins {
  readonly #open = new Map<string, Set<Twin>>();

  /** A layer is open from now on. */
  add(layer: Twin): void {
    if (layer.diffId === null) return;
    this.#open.getOrInsertComputed(keyOf(layer), () => new Set()).add(layer);
  }

  /** A layer closes. */
  remove(layer: Twin): void {
    const twins = this.#open.get(keyOf(layer));
    if (twins?.delete(layer) && twins.size === 0) {
      this.#open.delete(keyOf(layer));
    }
  }

  /** An image asks for a layer: it is filled if a twin is proven. */
  look(layer: Twin): void {
    if (layer.provenDiffId !== null) return;
    for (const twin of this.#open.get(keyOf(layer)) ?? []) {
      if (twin.provenDiffId !== null) return this.#fill(layer, twin);
    }
    for (const twin of this.#open.get(keyOf(layer)) ?? []) {
      if (twin.pack === layer.pack || twin.ztocDigest !== layer.ztocDigest) {
        continue;
      }
      return this.#tell(layer.borrowFrom(twin), layer, twin);
    }
  }

  /** A layer was found to have its diff ID: its twins are filled. */
  proven(layer: Twin): void {
    for (const twin of this.#open.get(keyOf(layer)) ?? []) {
      if (twin.provenDiffId === null) this.#fill(twin, layer);
    }
  }

  #fill(layer: Twin, from: Twin): void {
    this.#tell(layer.fillFrom(from), layer, from);
  }

  #tell(filling: Promise<void>, layer: Twin, from: Twin): void {
    filling.catch((error) =>
      log.warn("layer could not be filled from another of the same tar", {
        layer: layer.layerDigest,
        slot: layer.slot,
        from: from.slot,
        error: String(error),
      })
    );
  }
}

function keyOf({ layerDigest, diffId }: Twin): string {
  return `${layerDigest} ${diffId}`;
}
