import type { Digest } from "../../formats/oci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { disposeSource, showsLayer, type SpanSource } from "../spans/mod.ts";
import {
  type LayerIdentity,
  LostZtocError,
  LyingZtocError,
  NO_PACK,
  SHARED,
  type SlotRecord,
  type SlotTableStore,
} from "../store/mod.ts";
import type { ArrivedZtoc } from "./late_ztoc.ts";
import type { OpenLayer } from "./open_layer.ts";

const log = logger("images");
/** How long the source of a layer that nobody proved may take to show it, ms. */
const OTHERS_MS = 2_000;
/** How long a claimant's registry may take to show that it has a layer, ms. */
const CHALLENGE_MS = 30_000;

/** An image asks for a layer by the ztoc that its index names. */
export interface LayerClaim {
  /** The layer's digest and the ztoc's. */
  readonly identity: LayerIdentity;
  /** Diff ID of the layer in the image's configuration. */
  readonly diffId: Digest;
  /** The digest of the image's load order: only images with that one get the layer. Default: `NO_PACK`. */
  readonly pack?: string;
  /** Names who the image speaks for. */
  readonly claimant: string;
  /** The layer in the claimant's own registry. */
  readonly makeSource: () => SpanSource;
  /** Asks the claimant's registry for the ztoc. Only for a layer with a pack may its head come first. */
  readonly fetchZtoc: () => Promise<ArrivedZtoc>;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** The layers that claims are decided about. */
export interface ClaimedLayers {
  /** Which layers there are, and who may have them. */
  readonly slots: SlotTableStore;
  /** The layer of a slot, if it is served. */
  served(slot: number): OpenLayer | undefined;
  /**
   * Adds a user to a slot's layer, and opens the layer if need be.
   * @param ztoc null: it is on disk.
   * @throws LostZtocError when it is not there with the right digest; and as `OpenLayer.open`
   */
  open(
    record: SlotRecord,
    ztoc: ArrivedZtoc | null,
    claim: Pick<LayerClaim, "claimant" | "makeSource" | "diffId">,
  ): Promise<OpenLayer>;
  /** Undoes one `open`. */
  leave(slot: number): void;
}

/**
 * Decides which of the layers on this machine an image gets. An image gets a layer that others brought only
 * after its own registry has shown that it has the layer (`showsLayer`), now or earlier. Otherwise the layer
 * counts as not here, and the image gets one of its own.
 *
 * | on this machine, by the same ztoc, diff ID and pack | what the image gets |
 * |---|---|
 * | a layer that this claimant has a claim on | that one |
 * | a layer that somebody proved | that one, after a challenge |
 * | a layer that nobody proved | that one, if both its source and the claimant's pass a challenge |
 * | none | a new one, private until the claimant's registry has shown it, or given all of it |
 */
export class LayerClaims {
  readonly #layers: ClaimedLayers;

  /** @param layers stays the caller's. */
  constructor(layers: ClaimedLayers) {
    this.#layers = layers;
  }

  /**
   * Gives a claimant the layer that it may have. Undone by one release.
   * @throws LyingZtocError, ZtocError, TreeCompileError, OsError, what `fetchZtoc` throws
   */
  async claim(claim: LayerClaim): Promise<OpenLayer> {
    const { identity, diffId, claimant, pack = NO_PACK } = claim;
    const { slots } = this.#layers;
    const lie = slots.condemned(identity, diffId);
    if (lie !== null) throw new LyingZtocError(identity, lie);
    const here = slots.ofLayer(identity.layerDigest).filter((record) =>
      record.ztocDigest === identity.ztocDigest && record.diffId === diffId &&
      record.pack === pack
    );
    const own = here.filter(({ slot }) => slots.claimOf(slot, claimant))
      .sort(sharedFirst)[0];
    if (own !== undefined) {
      try {
        return await this.#layers.open(own, null, claim);
      } catch (error) {
        if (!(error instanceof LostZtocError)) throw error;
        return await this.#layers.open(own, await claim.fetchZtoc(), claim);
      }
    }
    for (const record of here.toSorted(sharedFirst)) {
      const layer = await this.#join(record, claim);
      if (layer !== null) return layer;
    }
    return await this.#begin(claim);
  }

  /** A new layer, which nobody shares yet. */
  async #begin(claim: LayerClaim): Promise<OpenLayer> {
    const { identity, diffId, claimant, pack = NO_PACK } = claim;
    const { slots } = this.#layers;
    const ztoc = await claim.fetchZtoc();
    const record = slots.assign(identity, {
      ...{ diffId, domain: claimant, pack },
    });
    slots.claim(record.slot, claimant, "unproven");
    return await this.#layers.open(record, ztoc, claim);
  }

  /** The layer, if the claimant's registry shows that it has it; else null. */
  async #join(
    record: SlotRecord,
    claim: LayerClaim,
  ): Promise<OpenLayer | null> {
    const { slots } = this.#layers;
    const { slot } = record;
    const { claimant } = claim;
    const unproven = slots.isUnproven(slot);
    const state = this.#layers.served(slot)?.state;
    if (state === "condemned" || (unproven && state === undefined)) return null;
    // The claimant's registry becomes a source only after it has shown that it has the layer.
    const served = this.#layers.served(slot);
    served?.share();
    const layer = served ?? await this.#opened(record, claim);
    if (layer === null) return null;
    const [shown, theirs] = await Promise.all([
      this.#challenge(layer, claim),
      // What came from there so far proves nothing: the first bytes of a layer may be known to many.
      unproven ? layer.proof.sourcesShow(OTHERS_MS) : true,
    ]);
    if (theirs && slots.isUnproven(slot)) slots.prove(slot);
    if (shown && theirs && layer.isServed && layer.state !== "condemned") {
      slots.claim(slot, claimant, "proven");
      if (served !== undefined) layer.addSource(claimant, claim.makeSource());
      return layer;
    }
    if (served === undefined) layer.removeSource(claimant);
    this.#layers.leave(slot);
    return null;
  }

  /** A layer that nobody serves; null when its ztoc is not on disk. */
  async #opened(
    record: SlotRecord,
    claim: LayerClaim,
  ): Promise<OpenLayer | null> {
    try {
      return await this.#layers.open(record, null, claim);
    } catch (error) {
      if (error instanceof LostZtocError) return null;
      throw error;
    }
  }

  async #challenge(layer: OpenLayer, claim: LayerClaim): Promise<boolean> {
    const source = claim.makeSource();
    const facts = {
      layer: claim.identity.layerDigest,
      host: source.host,
    };
    try {
      await layer.late.whole();
      const shown = await showsLayer(
        layer.proof.challenged,
        source,
        AbortSignal.any([claim.signal, AbortSignal.timeout(CHALLENGE_MS)]),
      );
      if (!shown) {
        log.warn(
          "a registry was asked for bytes of a layer that is here, and gave others: its image gets a layer of its own",
          facts,
        );
      }
      return shown;
    } catch (error) {
      claim.signal.throwIfAborted();
      log.warn(
        "a registry did not show that it has a layer that is here: its image gets a layer of its own",
        { ...facts, error: String(error) },
      );
      return false;
    } finally {
      disposeSource(source);
    }
  }
}

/** Shared layers first, then by age. */
function sharedFirst(a: SlotRecord, b: SlotRecord): number {
  return Number(b.domain === SHARED) - Number(a.domain === SHARED) ||
    a.slot - b.slot;
}
