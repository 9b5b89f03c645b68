import type { MountKeeper } from "../../host/handover/mod.ts";
import type { FaceChoice } from "../faces/mod.ts";
import { type Digest, isDigest, sha256 } from "../../formats/oci/mod.ts";
import { disposeSource, type SpanSource } from "../spans/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { readIfThere } from "../../host/files/mod.ts";
import {
  LyingZtocError,
  SHARED,
  slotOf,
  type SlotRecord,
} from "../store/mod.ts";
import { removeLayersBut } from "./gc.ts";
import {
  type CacheFigures,
  type FetchFigures,
  Machinery,
  type MachineryOptions,
} from "./machinery.ts";
import { type ClaimedLayers, type LayerClaim, LayerClaims } from "./claims.ts";
import { OpenLayer } from "./open_layer.ts";
import {
  layersDirectoryOf,
  start,
  type Started,
  type StartOptions,
} from "./start.ts";

const log = logger("images");

/** How a store is opened. */
export interface LayerStoreOptions extends StartOptions, MachineryOptions {}

/**
 * The layers this process serves, by their slots: which are open, who opens one more, what is done
 * when the last user of one leaves. One process owns a store's root, held by a lock.
 *
 * What a layer is made of while it is open is told at `OpenLayer`, what all of them share at
 * `Machinery`.
 */
export class LayerStore implements AsyncDisposable {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** How layers are shown, and why so. */
  readonly face: FaceChoice;
  /** What is served; one that is closing is in here no more, so its slot can be opened again. */
  readonly #layers = new Map<number, OpenLayer>();
  /** Closings under way; their descriptors are still open. */
  readonly #closing = new Set<Promise<void>>();
  readonly #machinery: Machinery;
  readonly #keeper: MountKeeper | undefined;
  readonly #lock: Deno.FsFile;
  readonly #claims: LayerClaims;

  private constructor(options: LayerStoreOptions, started: Started) {
    this.root = options.root;
    this.face = started.face;
    this.#keeper = options.keeper;
    this.#lock = started.lock;
    this.#machinery = new Machinery(
      layersDirectoryOf(options.root),
      started,
      options,
    );
    this.#claims = new LayerClaims(this.#claimed());
  }

  /** A store that is served from the start. @throws OsError; Error when another process has the root. */
  static async open(options: LayerStoreOptions): Promise<LayerStore> {
    const store = await LayerStore.resume(options);
    try {
      await store.serve();
    } catch (error) {
      await store[Symbol.asyncDispose]();
      throw error;
    }
    return store;
  }

  /**
   * A store whose mounts answer nothing before `serve` is called: so that every layer the last
   * process served can be restored first. Takes that process's mounts over when there is a keeper
   * and they can be, else mounts anew.
   * @throws OsError, StateVersionError, ErofsUnusableError; Error when another process has the root.
   */
  static async resume(options: LayerStoreOptions): Promise<LayerStore> {
    return new LayerStore(options, await start(options));
  }

  /** Layers are about to be added: what takes time to start is started. */
  expectLayers(): void {
    this.#machinery.files.expectLayers();
  }

  /** Starts answering reads. With a keeper, the mounts outlive this process from here on. */
  async serve(): Promise<void> {
    const { saver, files, cache } = this.#machinery;
    await saver.settled(); // the FUSE tree reads what it writes
    await files.serve();
    cache.start(); // a predecessor that still read these files is gone
    this.#keeper?.keep(await files.mounts());
  }

  /**
   * Leaves mounts and layers to the next process: disposing of the store then saves and closes
   * everything but unmounts nothing. Until this process ends, reads of what is here are answered
   * still, others wait for the successor. Only with a keeper.
   */
  async leave(): Promise<void> {
    const { files } = this.#machinery;
    await files.settled(); // a successor finds every mount
    this.#keeper?.keep(await files.mounts());
    files.detach();
  }

  /**
   * Serves a layer by a ztoc whose digest was checked; a layer that is served already is shared.
   * Each call is undone by one `release`. The store takes the source over (and disposes it).
   * @param diffId what the whole tar must be; null when that was checked already.
   * @param claimant on whose word the source is used: see `OpenLayer.addSource`. Default: that of
   * its repository.
   * @throws ZtocError, TreeCompileError, LyingZtocError, OsError
   */
  add(
    layerDigest: string,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    diffId: Digest | null,
    claimant: string = sourceName(source),
  ): OpenLayer {
    const identity = { layerDigest, ztocDigest: sha256(ztocBytes) };
    const { slots } = this.#machinery;
    const lie = slots.condemned(identity, diffId ?? "");
    if (lie !== null) {
      disposeSource(source);
      throw new LyingZtocError(identity, lie);
    }
    const record = slots.assign(identity);
    return this.#open(record, ztocBytes, source, { diffId, claimant });
  }

  /** One more user of a slot's layer. */
  #open(
    record: SlotRecord,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    { diffId, claimant }: {
      readonly diffId: Digest | null;
      readonly claimant: string;
    },
  ): OpenLayer {
    const { slot, layerDigest, ztocDigest } = record;
    const known = this.#layers.get(slot);
    if (known !== undefined) {
      known.share();
      known.addSource(claimant, source);
      return known;
    }
    const identity = { layerDigest, ztocDigest };
    const layer = OpenLayer.open(
      { slot, identity, ztocBytes, diffId, source, claimant },
      this.#machinery,
    );
    this.#layers.set(slot, layer);
    return layer;
  }

  /**
   * Serves a layer to an image, as far as the image's own registry has shown that it has it: which of
   * the layers that are here it gets is told at `LayerClaims`. Undone by one `release`.
   * @throws ZtocError, TreeCompileError, LyingZtocError, OsError, and what asks for the ztoc throws
   */
  claim(claim: LayerClaim): Promise<OpenLayer> {
    return this.#claims.claim(claim);
  }

  /**
   * Serves a layer whose whole blob this process has just fetched from a claimant's registry and compared with both
   * digests, by a ztoc it has made itself. Undone by one `release`.
   * @throws ZtocError, TreeCompileError, LyingZtocError, OsError
   */
  addVerified(
    layerDigest: Digest,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    of: { readonly diffId: Digest; readonly claimant: string },
  ): OpenLayer {
    const identity = { layerDigest, ztocDigest: sha256(ztocBytes) };
    const { slots } = this.#machinery;
    const { diffId, claimant } = of;
    const record = slots.assign(identity, { diffId, domain: SHARED });
    slots.claim(record.slot, claimant, "proven");
    return this.#open(record, ztocBytes, source, of);
  }

  /**
   * Remembers that a claimant has a layer that an older release opened for it.
   * @param slot of a layer that is served.
   */
  adopt(slot: number, claimant: string): void {
    const { slots } = this.#machinery;
    const record = slots.get(slot);
    if (record === null || record.diffId !== "") return;
    slots.claim(slot, claimant, "proven");
    const diffId = this.#layers.get(slot)?.diffId ?? null;
    if (diffId !== null) slots.setDiffId(slot, diffId);
  }

  /** A served layer; null when there is none in that slot. */
  served(slot: number): OpenLayer | null {
    return this.#layers.get(slot) ?? null;
  }

  #claimed(): ClaimedLayers {
    return {
      slots: this.#machinery.slots,
      ztocOnDisk: (record) => this.#ztocOnDisk(record),
      served: (slot) => this.#layers.get(slot),
      open: (record, ztocBytes, claim) =>
        this.#open(record, ztocBytes, claim.makeSource(), claim),
      leave: (slot) => this.release(slot, { discard: false }),
    };
  }

  #ztocOnDisk(
    { slot, ztocDigest }: SlotRecord,
  ): Uint8Array<ArrayBuffer> | null {
    const { layersDirectory } = this.#machinery;
    const bytes = readIfThere(`${layersDirectory}/${slot}/ztoc`);
    return bytes !== null && sha256(bytes) === ztocDigest ? bytes : null;
  }

  /**
   * Serves a layer again as it was served before, from what is on disk alone.
   * @param options.slot the one it had: no other will do, as another may show other bytes. Without one, the
   * oldest of that layer.
   * @param options.claimant as for `add`.
   * @returns null when nothing usable is on disk.
   */
  restore(
    layerDigest: string,
    makeSource: () => SpanSource,
    options: { readonly slot?: number; readonly claimant?: string } = {},
  ): OpenLayer | null {
    const { slots } = this.#machinery;
    for (const record of slots.ofLayer(layerDigest)) {
      if (options.slot !== undefined && record.slot !== options.slot) continue;
      const bytes = this.#ztocOnDisk(record);
      if (bytes === null) continue;
      if (slots.condemned(record, record.diffId) !== null) continue;
      const diffId = isDigest(record.diffId) ? record.diffId : null;
      const source = makeSource();
      const claimant = options.claimant ?? sourceName(source);
      return this.#open(record, bytes, source, { diffId, claimant });
    }
    return null;
  }

  /**
   * Ends one use of a layer. After the last one it is no longer served; its cache stays for the next
   * time, unless `discard`.
   */
  release(slot: number, options: { readonly discard: boolean }): void {
    const layer = this.#layers.get(slot);
    if (layer === undefined || !layer.leave()) return;
    this.#close(layer, options.discard ? "discarded" : "kept");
    if (!options.discard) return this.#machinery.idle.add(slot);
    // First the slot: a folder without a slot is garbage, a slot without a folder is not.
    this.#machinery.slots.remove(slot);
    this.#track(layer, layer.removeFolder());
  }

  #close(layer: OpenLayer, cache: "kept" | "discarded"): void {
    this.#layers.delete(layer.slot);
    this.#track(layer, layer.close({ cache }));
  }

  /** Has the end of the store wait for something. */
  #track({ slot, layerDigest }: OpenLayer, closing: Promise<void>): void {
    const over = closing.catch((error) =>
      log.error("something of a closed layer stays", {
        slot,
        layer: layerDigest,
        error: String(error),
      })
    ).finally(() => this.#closing.delete(over));
    this.#closing.add(over);
  }

  /**
   * Forgets every layer that is neither served nor in use nor kept: their slots, caches and
   * half-made files.
   * For a daemon that has restored all it knows: what is left is what a crash left over.
   * @param inUse directories of layers that are to be kept though they could not be restored.
   */
  sweep(inUse: readonly string[]): void {
    const { slots, idle, files } = this.#machinery;
    removeLayersBut(
      this.root,
      slots,
      new Set([...this.#layers.keys(), ...inUse.map(slotOf), ...idle.slots()]),
    );
    files.sweep();
  }

  /** Whether the mounts are answered, so that directories come into place. */
  get serving(): boolean {
    return this.#machinery.files.serving;
  }

  /** Every served layer. */
  all(): OpenLayer[] {
    return [...this.#layers.values()];
  }

  /** What was fetched since the store was opened. */
  get fetched(): Readonly<FetchFigures> {
    return this.#machinery.fetched;
  }

  /** How full the caches are. */
  cacheFigures(): CacheFigures {
    return this.#machinery.cacheFigures();
  }

  /** Makes smaller in memory what is not used now, giving way to whatever else is waiting. */
  async shrink(): Promise<void> {
    for (const { spans } of this.all()) {
      while (spans.packNext()) {
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    }
  }

  /** Stops serving and unmounts (or not, after `leave`). Caches stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { files, cache, saver, slots } = this.#machinery;
    await files[Symbol.asyncDispose]();
    if (!files.detached) this.#keeper?.release();
    cache[Symbol.dispose](); // gives nothing up from here on
    await saver.settled();
    for (const layer of this.all()) this.#close(layer, "kept");
    await Promise.all(this.#closing);
    this.#machinery[Symbol.dispose]();
    slots[Symbol.dispose]();
    this.#lock.close();
  }
}

/** A repository by name: whoever says nothing else is a claimant of that name. */
function sourceName({ host, repository = "" }: SpanSource): string {
  return `${host}/${repository}`;
}
