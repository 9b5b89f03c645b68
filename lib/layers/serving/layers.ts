import { setImmediate } from "node:timers/promises";
import type { MountKeeper } from "../../host/handover/mod.ts";
import type { FaceChoice } from "../faces/mod.ts";
import type { ReadRecording, RecordOptions, ServedMount } from "../fs/mod.ts";
import { type Digest, isDigest } from "../../formats/oci/mod.ts";
import { disposeSource, type SpanSource } from "../spans/mod.ts";
import { logger, tellStateDamage } from "../../telemetry/mod.ts";
import {
  KEPT_UNUSED_MS,
  KeptBlobs,
  LostZtocError,
  LyingZtocError,
  NO_PACK,
  slotOf,
} from "../store/mod.ts";
import { sweepLayers } from "./gc.ts";
import {
  type CacheFigures,
  type FetchFigures,
  Machinery,
  type MachineryOptions,
} from "./machinery.ts";
import type { LowerPart } from "../opening/mod.ts";
import { StartPacks } from "./start_packs.ts";
import { OpenLayer } from "./open_layer.ts";
import { AheadOfReaders } from "./prefetched.ts";
import { sourceName, type WantedLayer, wantedOf } from "./wanted.ts";
import { WholeLayers } from "./whole_layers.ts";
import { assertRoomFor } from "./ztoc_room.ts";
import { ztocDigestOf } from "./ztoc_digest.ts";
import { type ClaimedLayers, type LayerClaim, LayerClaims } from "./claims.ts";
import {
  layersDirectoryOf,
  start,
  type Started,
  type StartOptions,
} from "./start.ts";

const log = logger("images");

/** How a store is opened. */
export interface LayerStoreOptions extends StartOptions, MachineryOptions {}

/** What else may be said of a layer that is added. */
export interface AddOptions {
  /** On whose word the source is used: see `OpenLayer.addSource`. Default: that of its repository. */
  readonly claimant?: string;
  /** The ztoc's digest, where it was checked; it takes long for a large one. */
  readonly ztocDigest?: Digest;
}

/**
 * The layers that this process serves, by slot. It opens and shares layers, and closes a layer when its last user
 * leaves. One process owns a store's root and holds its lock. `Machinery` is what all open layers share.
 */
export class LayerStore implements AsyncDisposable {
  /** Durable state: slots and layer caches. */
  readonly root: string;
  /** Which face shows the layers, and why. */
  readonly face: FaceChoice;
  /** Fetches what readers are expected to want. */
  readonly ahead: AheadOfReaders;
  /** What is known of start packs. */
  readonly packs: StartPacks;
  /** Layers that were taken whole. */
  readonly whole: WholeLayers;
  /** Blobs of layers that are on their way, or were when a process was killed. */
  readonly kept: KeptBlobs;
  /** Served layers by slot. A closing layer is no longer in here, so its slot can be opened again. */
  readonly #layers = new Map<number, OpenLayer>();
  /** Layers that are being opened, by slot. */
  readonly #opening = new Map<number, Promise<OpenLayer>>();
  /** Layers that are closing; their descriptors are still open. */
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
      { ...started, root: options.root },
      options,
    );
    this.ahead = new AheadOfReaders(this.#machinery);
    this.packs = new StartPacks(this.#machinery, () => this.all());
    this.#claims = new LayerClaims(this.#claimed());
    this.kept = new KeptBlobs(`${options.root}/ingest`);
    this.whole = new WholeLayers({
      slots: this.#machinery.slots,
      folder: (slot) => `${this.#machinery.layersDirectory}/${slot}`,
      open: (wanted) => this.#open(wanted),
      leave: (slot) => this.release(slot, { discard: false }),
      holdBackground: () => this.#machinery.hold.begin(),
    });
  }

  /** Opens a store and serves it at once. @throws OsError; Error when another process owns the root. */
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
   * Opens a store whose mounts answer nothing before `serve` is called, so that every layer of the last
   * process can be restored first. Takes that process's mounts over if there is a keeper and they are
   * usable, else mounts anew.
   * @throws OsError, StateVersionError, ErofsUnusableError; Error when another process owns the root.
   */
  static async resume(options: LayerStoreOptions): Promise<LayerStore> {
    return new LayerStore(options, await start(options));
  }

  /** Layers will be added soon: starts what takes time to start. */
  expectLayers(): void {
    this.#machinery.expectLayers();
  }

  /** Starts to answer reads. With a keeper, the mounts outlive this process from here on. */
  async serve(): Promise<void> {
    const { saver, files, cache, slots } = this.#machinery;
    await saver.settled(); // the FUSE tree reads what it writes
    await files.serve();
    cache.start(); // a predecessor that still read these files is gone
    this.#keeper?.keep(await files.mounts(), slots);
  }

  /**
   * Leaves mounts and layers to the next process. Disposing of the store then saves and closes everything
   * and unmounts nothing. Until this process ends, it still answers reads of bytes that are here; other
   * reads wait for the successor. Only with a keeper.
   */
  async leave(): Promise<void> {
    const { files, slots } = this.#machinery;
    await files.settled(); // a successor finds every mount
    this.#keeper?.keep(await files.mounts(), slots);
    files.detach();
  }

  /**
   * No successor came for what was left, and the store is disposed of: ends what still answers reads.
   * @returns the mounts, for another `resume` in this process.
   */
  retire(): Promise<readonly ServedMount[]> {
    return this.#machinery.files.retire();
  }

  /**
   * Serves a layer by a ztoc whose digest was checked. A layer that is already served is shared. One
   * `release` undoes one call. The store owns the source and disposes of it.
   * @param diffId that the whole tar must have; null when that was checked already.
   * @throws LyingZtocError, and as `OpenLayer.open`
   */
  async add(
    layerDigest: string,
    ztocBytes: Uint8Array<ArrayBuffer>,
    source: SpanSource,
    diffId: Digest | null,
    options: AddOptions = {},
  ): Promise<OpenLayer> {
    const { claimant = sourceName(source) } = options;
    const ztocDigest = options.ztocDigest ?? await ztocDigestOf(ztocBytes);
    const identity = { layerDigest, ztocDigest };
    const { slots } = this.#machinery;
    const lie = slots.condemned(identity, diffId ?? "");
    if (lie !== null) {
      disposeSource(source);
      throw new LyingZtocError(identity, lie);
    }
    const { slot } = slots.assign(identity);
    return await this.#open({
      ...{ slot, identity, pack: NO_PACK, diffId, source, claimant },
      ztoc: { kind: "bytes", bytes: ztocBytes },
      costly: "refused",
    });
  }

  /** One more user of a layer, which is opened where it is not. Takes the source over in any case. */
  async #open(wanted: WantedLayer): Promise<OpenLayer> {
    const { slot, claimant, source } = wanted;
    for (;;) {
      const known = this.#layers.get(slot);
      if (known !== undefined) {
        known.share();
        known.addSource(claimant, source);
        return known;
      }
      const opening = this.#opening.get(slot);
      if (opening === undefined) break;
      await opening.catch(() => {}); // told to whoever opens it
    }
    const opening = OpenLayer.open(wanted, this.#machinery);
    this.#opening.set(slot, opening);
    try {
      const layer = await opening;
      this.#layers.set(slot, layer);
      this.#machinery.expectReaders(layer);
      return layer;
    } finally {
      this.#opening.delete(slot);
    }
  }

  /**
   * A layer will be opened soon by a ztoc of that size: what takes time to start is started.
   * @param headBytes of the ztoc's compressed head; null where it is not known.
   * @throws CostlyZtocError when it would be refused, whatever is in it; ZtocRoomError
   */
  expectZtoc(sizeBytes: number, headBytes: number | null): void {
    const { opener, reserve } = this.#machinery;
    assertRoomFor(sizeBytes, reserve);
    opener.expect(sizeBytes, headBytes);
  }

  /**
   * The record of what a chain shows above its layers, of which the uppermost is served; null when they
   * show all that is right. See `chainDirectories`.
   * @param below the others, nearest first.
   * @param record the same of the chain without its uppermost layer.
   * @throws ChainTooLargeError, OpeningError; Error when a tree cannot be read.
   */
  chainRecord(
    top: OpenLayer,
    below: readonly (OpenLayer | { readonly files: string })[],
    record: string | null,
  ): Promise<string | null> {
    const parts = below.map((part): LowerPart =>
      part instanceof OpenLayer ? { layer: part.folder } : part
    );
    const served = below.filter((part) => part instanceof OpenLayer);
    return this.#machinery.opener.chainRecord(
      { top: top.folder, below: parts, record },
      {
        share: top.host,
        files: served.reduce((sum, { inodes }) => sum + inodes, top.inodes),
        topFiles: top.inodes,
      },
    );
  }

  /**
   * Makes what a chain shows above its layers in an empty folder, on disk when it resolves.
   * @throws OpeningError, OsError, FileError
   */
  writeChain(record: string, folder: string): Promise<void> {
    return this.#machinery.opener.writeChain({ record, folder }, "");
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
   * Remembers that a claimant has a layer that an older release opened for it.
   * @param slot of a layer that is served.
   */
  adopt(slot: number, claimant: string): void {
    const { slots } = this.#machinery;
    const record = slots.get(slot);
    if (record === null || record.diffId !== "") return;
    slots.claim(slot, claimant, "proven");
    const diffId = this.#layers.get(slot)?.proof.diffId ?? null;
    if (diffId !== null) slots.setDiffId(slot, diffId);
  }

  /** A served layer; null when there is none in that slot. */
  served(slot: number): OpenLayer | null {
    return this.#layers.get(slot) ?? null;
  }

  #claimed(): ClaimedLayers {
    return {
      slots: this.#machinery.slots,
      served: (slot) => this.#layers.get(slot),
      open: async (record, ztoc, { claimant, diffId, makeSource }) => {
        const layer = await this.#open({
          ...wantedOf(record, ztoc),
          ...{ claimant, diffId, source: makeSource(), costly: "refused" },
        });
        layer.late.after(() => this.#machinery.twins.look(layer.proof));
        return layer;
      },
      leave: (slot) => this.release(slot, { discard: false }),
    };
  }

  /**
   * Serves a layer again as it was served before, from what is on disk alone.
   * @param options.slot the one it had: no other will do, as another may show other bytes. Without one, the
   * oldest of that layer.
   * @param options.claimant as for `add`.
   * @returns null when nothing usable is on disk.
   */
  async restore(
    layerDigest: string,
    makeSource: () => SpanSource,
    options: { readonly slot?: number; readonly claimant?: string } = {},
  ): Promise<OpenLayer | null> {
    const { slots, layersDirectory } = this.#machinery;
    for (const record of slots.ofLayer(layerDigest)) {
      if (record.slot !== (options.slot ?? record.slot)) continue;
      if (options.slot === undefined && record.pack !== NO_PACK) continue;
      if (slots.condemned(record, record.diffId) !== null) continue;
      if (!isDigest(record.ztocDigest)) continue;
      const source = makeSource();
      try {
        return await this.#open({
          ...wantedOf(record, null),
          source,
          diffId: isDigest(record.diffId) ? record.diffId : null,
          claimant: options.claimant ?? sourceName(source),
          costly: "alone", // containers may use it already
        });
      } catch (error) {
        if (!(error instanceof LostZtocError)) throw error;
        tellStateDamage({
          path: `${layersDirectory}/${record.slot}/ztoc`,
          found: "it is missing, or has another digest than slots.db says",
          then:
            "it is asked for again; until it is here, reads of the layer fail",
        });
      }
    }
    return null;
  }

  /**
   * Ends one use of a layer. After the last one it is no longer served. Its cache stays for the next use,
   * unless `discard`.
   */
  release(slot: number, options: { readonly discard: boolean }): void {
    const layer = this.#layers.get(slot);
    if (layer === undefined || !layer.leave()) return;
    this.#close(layer, options.discard ? "discarded" : "kept");
    if (!options.discard) return this.#machinery.idle.add(slot);
    // The slot first: a folder without a slot is removed as garbage, a slot without a folder is not.
    this.#machinery.forget(slot);
    this.#track(layer, layer.removeFolder());
  }

  #close(layer: OpenLayer, cache: "kept" | "discarded"): void {
    this.#layers.delete(layer.slot);
    this.#track(layer, layer.close({ cache }));
  }

  /** The end of the store waits for `closing`. */
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
   * Removes every layer that is neither served nor in use nor kept: its slot, cache and unfinished files.
   * Called once all known layers are restored: what is left then is what a crash left behind.
   * @param inUse directories of layers to keep although they could not be restored.
   * @param others `kept`: nobody knows who used them, so they stay as caches.
   */
  sweep(
    inUse: readonly string[],
    others: "removed" | "kept" = "removed",
  ): void {
    const { slots, idle, files } = this.#machinery;
    const wanted = new Set([
      ...this.#layers.keys(),
      ...this.#opening.keys(),
      ...inUse.map(slotOf),
      ...idle.slots(),
    ]);
    const rest = sweepLayers(this.root, { slots, idle, wanted, others });
    Deno.unrefTimer(setTimeout(rest, KEPT_UNUSED_MS));
    this.kept.start();
    files.sweep();
  }

  /** Records reads of served layers, by slot: see `LayerFileSystem.record`. */
  record(slots: ReadonlySet<number>, options: RecordOptions): ReadRecording {
    return this.#machinery.files.record(slots, options);
  }

  /** Whether the mounts are served, so that directories appear. */
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

  /** What the requests to each host have of the memory that all share. */
  readonly hostFigures = () => this.#machinery.scheduler.hosts();

  /** How full the caches are. */
  cacheFigures(): CacheFigures {
    return this.#machinery.cacheFigures();
  }

  /** Packs what is unused in memory, and yields to other work after each step. */
  async shrink(): Promise<void> {
    this.#machinery.pool.rest();
    for (const { spans } of this.all()) {
      while (spans.packNext()) await setImmediate();
    }
  }

  /** Stops serving and unmounts, but not after `leave`. Caches stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { files, cache, saver, slots, opener } = this.#machinery;
    opener[Symbol.dispose]();
    this.kept[Symbol.dispose]();
    await Promise.allSettled(this.#opening.values());
    await files[Symbol.asyncDispose]();
    if (!files.detached) this.#keeper?.release();
    cache[Symbol.dispose](); // evicts nothing from here on
    await saver.settled();
    for (const layer of this.all()) this.#close(layer, "kept");
    await Promise.all(this.#closing);
    this.#machinery[Symbol.dispose]();
    slots[Symbol.dispose]();
    this.#lock.close();
  }
}
