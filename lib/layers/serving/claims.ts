import type { Digest } from "../../formats/oci/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { showsLayer, type SpanSource } from "../spans/mod.ts";
import {
  type LayerIdentity,
  LyingZtocError,
  SHARED,
  type SlotRecord,
  type SlotTableStore,
} from "../store/mod.ts";
import type { OpenLayer } from "./open_layer.ts";

const log = logger("images");
/** How long whoever has a layer may take to show it to the next who wants it, ms. */
const OTHERS_MS = 2_000;
/** How long a registry may take to show that it has a layer, ms. */
const CHALLENGE_MS = 30_000;

/** An image wants a layer by the ztoc its index names. */
export interface LayerClaim {
  /** Which layer, by which ztoc. */
  readonly identity: LayerIdentity;
  /** What the image's configuration says the tar is. */
  readonly diffId: Digest;
  /** Who the image speaks for: a hash. */
  readonly claimant: string;
  /** The layer in the claimant's own registry. */
  readonly makeSource: () => SpanSource;
  /** Asks the claimant's registry for the ztoc. */
  readonly fetchZtoc: () => Promise<Uint8Array<ArrayBuffer>>;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** What claims are decided with. */
export interface ClaimedLayers {
  /** Which there are, and who may have them. */
  readonly slots: SlotTableStore;
  /** A ztoc that is on disk, its digest checked; null where it is not. */
  ztocOnDisk(record: SlotRecord): Uint8Array<ArrayBuffer> | null;
  /** The layer of a slot, if it is served. */
  served(slot: number): OpenLayer | undefined;
  /** One more user of a slot's layer, which is opened where it is not. */
  open(
    record: SlotRecord,
    ztocBytes: Uint8Array<ArrayBuffer>,
    claim: Pick<LayerClaim, "claimant" | "makeSource" | "diffId">,
  ): OpenLayer;
  /** That user leaves. */
  leave(slot: number): void;
}

/**
 * Which of the layers that are here an image gets. One that others brought it gets only after its own
 * registry has shown that it has the layer (`showsLayer`), or where it had shown that before; else
 * the layer counts as not here, and the image has one of its own until it is proved.
 *
 * | here, by the same ztoc and diff ID | then |
 * |---|---|
 * | one this claimant has a claim on | it is given |
 * | one that somebody proved | it is given after a challenge |
 * | one that nobody proved | who has it is challenged, too; when both pass, it is shared |
 * | nothing | a new one, private until the first span has come from the claimant's registry |
 */
export class LayerClaims {
  readonly #layers: ClaimedLayers;

  /** @param layers stays the caller's. */
  constructor(layers: ClaimedLayers) {
    this.#layers = layers;
  }

  /**
   * Gives a claimant the layer it may have; undone by one release.
   * @throws LyingZtocError, ZtocError, TreeCompileError, OsError, what `fetchZtoc` throws
   */
  async claim(claim: LayerClaim): Promise<OpenLayer> {
    const { identity, diffId, claimant } = claim;
    const { slots } = this.#layers;
    const lie = slots.condemned(identity, diffId);
    if (lie !== null) throw new LyingZtocError(identity, lie);
    const here = slots.ofLayer(identity.layerDigest).filter((record) =>
      record.ztocDigest === identity.ztocDigest && record.diffId === diffId
    );
    const own = here.filter(({ slot }) => slots.claimOf(slot, claimant))
      .sort(sharedFirst)[0];
    if (own !== undefined) {
      const bytes = this.#layers.ztocOnDisk(own) ?? await claim.fetchZtoc();
      return this.#layers.open(own, bytes, claim);
    }
    for (const record of here.toSorted(sharedFirst)) {
      const layer = await this.#join(record, claim);
      if (layer !== null) return layer;
    }
    return await this.#begin(claim);
  }

  /** A layer that nobody shares yet, or that this claimant is not to see. */
  async #begin(claim: LayerClaim): Promise<OpenLayer> {
    const { identity, diffId, claimant } = claim;
    const { slots } = this.#layers;
    const bytes = await claim.fetchZtoc();
    const record = slots.assign(identity, { diffId, domain: claimant });
    slots.claim(record.slot, claimant, "unproven");
    return this.#layers.open(record, bytes, claim);
  }

  /** The layer, when the claimant's registry has shown that it has it; else null. */
  async #join(
    record: SlotRecord,
    claim: LayerClaim,
  ): Promise<OpenLayer | null> {
    const { slots } = this.#layers;
    const { slot } = record;
    const { claimant } = claim;
    const unproven = slots.isUnproven(slot);
    const bytes = this.#layers.ztocOnDisk(record);
    if (bytes === null) return null;
    const state = this.#layers.served(slot)?.state;
    if (state === "condemned" || (unproven && state === undefined)) return null;
    // Nothing is asked of the claimant's registry for others before it has shown that it has the layer.
    const served = this.#layers.served(slot);
    served?.share();
    const layer = served ?? this.#layers.open(record, bytes, claim);
    const [shown] = await Promise.all([
      this.#challenge(layer, claim),
      unproven ? layer.challengeOwn(OTHERS_MS) : true,
    ]);
    if (shown && !slots.isUnproven(slot) && layer.isServed) {
      slots.claim(slot, claimant, "proven");
      if (served !== undefined) layer.addSource(claimant, claim.makeSource());
      return layer;
    }
    if (served === undefined) layer.removeSource(claimant);
    this.#layers.leave(slot);
    return null;
  }

  async #challenge(layer: OpenLayer, claim: LayerClaim): Promise<boolean> {
    const source = claim.makeSource();
    const facts = {
      layer: claim.identity.layerDigest,
      host: source.host,
    };
    try {
      const shown = await showsLayer(
        layer.challenged,
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
      if (Symbol.dispose in source) (source as Disposable)[Symbol.dispose]();
    }
  }
}

/** Those that others may use first, then the oldest. */
function sharedFirst(a: SlotRecord, b: SlotRecord): number {
  return Number(b.domain === SHARED) - Number(a.domain === SHARED) ||
    a.slot - b.slot;
}
