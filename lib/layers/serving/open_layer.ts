import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { OsError } from "../../host/os/mod.ts";
import type { LayerMarks, ServedLayer } from "../fs/mod.ts";
import { type MadeLayer, OpeningError } from "../opening/mod.ts";
import {
  type CachedLayer,
  LayerReader,
  SpanError,
  type SpanMap,
  type SpanSource,
  SpanSources,
} from "../spans/mod.ts";
import {
  type BegunFolder,
  LayerFolder,
  type LayerIdentity,
} from "../store/mod.ts";
import type { DirectoryFacts, LayerTree } from "../tree/mod.ts";
import { condemnHead, condemnZtoc, isDamage } from "./condemn.ts";
import { type FalseHeadError, LateZtoc } from "./late_ztoc.ts";
import { LayerPack } from "./layer_pack.ts";
import { LayerLife, type LayerState } from "./life.ts";
import type { Machinery } from "./machinery.ts";
import { PatientReads } from "./patient_reads.ts";
import { LayerProof, type Proof } from "./proof.ts";
import { placeOfRest, putRest } from "./rest_of_ztoc.ts";
import type { WantedLayer } from "./wanted.ts";

/** The parts of an open layer. */
interface Parts {
  readonly folder: LayerFolder;
  readonly marks: LayerMarks;
  readonly map: SpanMap;
  readonly sources: SpanSources;
  readonly late: LateZtoc;
}

/**
 * A layer that is being served: its folder, its span map, its reader, its sources and its users. `LIFE`
 * is the table of its life.
 *
 * It is open from `open` to the end of `close`. `LayerStore` closes it when the last user has left. This
 * object holds neither the ztoc nor the file tree, which are large: `LayerOpener` makes small parts of
 * them, and only those come here. Callbacks are fields, so that they keep this object alive and no
 * variables of its creator.
 */
export class OpenLayer implements ServedLayer, CachedLayer {
  /** The name of its folder, and the high half of its nodeids. */
  readonly slot: number;
  /** The layer's digest and the ztoc's: what tells it from every other layer. */
  readonly identity: LayerIdentity;
  /** Path of its root, read-only; may be a lower directory of an overlay mount. */
  readonly directory: string;
  /** Always root: containerd ignores what an archive says about the root directory. */
  readonly owner = { uid: 0, gid: 0 } as const;
  /** Whether a chain may need directories of its own because of this layer; see `chainDirectories`. */
  readonly mayInherit: boolean;
  /** What its archive says about the root directory; null when it has no entry for it. */
  readonly root: DirectoryFacts | null;
  /**
   * Resolves when the directory is in place and everything that a successor needs is on disk. Rejects
   * when either fails.
   */
  readonly shown: Promise<void>;
  /** Reads its bytes, fetching what is missing. */
  readonly reader: LayerReader;
  /** Number of files, directories and other inodes in it. */
  readonly inodes: number;
  /** Whether any of them has extended attributes. */
  readonly hasXattrs: boolean;
  /** Which spans are here, one byte each. */
  readonly map: SpanMap;
  /** Which spans were read, one byte each. */
  readonly uses: Uint8Array;

  /** What a start pack brings for it. */
  readonly pack: LayerPack;

  /** The rest of its ztoc. */
  readonly late: LateZtoc;

  readonly #machinery: Machinery;
  readonly #folder: LayerFolder;
  readonly #sources: SpanSources;
  readonly #proof: LayerProof;
  readonly #reads: PatientReads;
  readonly #life = new LayerLife();
  /** Stops work that is done for the layer and not for a reader. */
  readonly #stop = new AbortController();
  #users = 1;

  private constructor(
    wanted: WantedLayer,
    { tree, image }: MadeLayer,
    { folder, marks, map, sources, late }: Parts,
    machinery: Machinery,
  ) {
    const { slot, identity: { layerDigest } } = wanted;
    this.slot = slot;
    this.identity = wanted.identity;
    this.mayInherit = tree.mayInherit;
    this.root = tree.root;
    this.inodes = tree.inodes;
    this.hasXattrs = tree.hasXattrs;
    this.map = map;
    this.uses = marks.uses;
    this.#machinery = machinery;
    this.#folder = folder;
    this.#sources = sources;
    const { files, scheduler, pool, uncached, maxReadAheadBytes } = machinery;
    this.reader = new LayerReader({
      layerDigest,
      spans: folder.spans,
      compression: folder.compression,
      map,
      reads: marks.reads,
      dataFd: folder.dataFd,
      ...{ sources, scheduler, pool, uncached, maxReadAheadBytes },
      get headers() {
        return folder.headers;
      },
      digestRetries: machinery.digestRetries,
      staysWhole: folder.staysWhole,
      onFetched: machinery.countFetched,
      onPresent: this.#onPresent,
      mayBePacked: wanted.pack !== "",
      onRange: this.#onPresent,
      onPackLie: (span, offset) => this.pack.onLie(span, offset),
      onComplete: this.#onComplete,
      onGone: this.#onGone,
      onLie: this.#onLie,
      onDamaged: () => folder.tellChangedData(),
    });
    this.pack = new LayerPack({
      ...{ slot, identity: wanted.identity, digest: wanted.pack, files },
      ...{ reader: this.reader, slots: machinery.slots },
      isOver: () => !this.isServed || files.detached,
    });
    this.late = late;
    late.begin({
      onWhole: (ztoc) =>
        putRest(ztoc, {
          ...{ folder, machinery, share: wanted.claimant },
          closing: this.#stop.signal,
        }),
      onFalse: this.#onFalseHead,
    });
    this.#reads = new PatientReads(
      ...[this.reader, machinery.readWaitMs, machinery.fetched] as const,
    );
    this.#proof = new LayerProof({
      ...{ slot, layerDigest, folder, map, sources, pack: wanted.pack },
      ztocDigest: wanted.identity.ztocDigest,
      reader: this.reader,
      life: this.#life,
      closing: this.#stop.signal,
      room: () => machinery.cache.roomBytes,
      fill: () => this.fill(),
      onProven: this.#onProven,
      onLie: this.#onLie,
    });
    try {
      // Last: readers may come from here on.
      const { directory, shown } = files.add(this, { ...tree, image }, marks);
      this.directory = directory;
      this.shown = Promise.all([shown, folder.saved]).then(() => {});
    } catch (error) {
      this.reader.close(); // nothing is under way
      throw error;
    }
    this.shown.then(this.#onShown, this.#onUnshown);
  }

  /**
   * Opens a layer and begins to show it; its first user is the caller. Small layers take a turn of the
   * main thread, others come from a Worker.
   * @throws ZtocError, TreeCompileError, CostlyZtocError, LostZtocError, OpeningError, OsError, FileError;
   * RangeError when too many layers are open
   */
  static async open(
    wanted: WantedLayer,
    machinery: Machinery,
  ): Promise<OpenLayer> {
    using opened = new DisposableStack();
    const { slot, source, claimant } = wanted;
    const sources = opened.use(new SpanSources());
    const place = placeOfRest(wanted, machinery);
    const late = new LateZtoc(wanted.whole ?? null, place);
    sources.add(claimant, late.gate(source));
    const { idle, files } = machinery;
    // First of all: nobody is to remove the folder meanwhile.
    if (idle.take(slot)) opened.defer(() => idle.add(slot));
    const { made, folder } = await OpenLayer.#make(wanted, machinery);
    opened.use(folder);
    if (files.detached) throw new OpeningError("a successor opens layers");
    const marks = opened.use(files.reserve(folder.spans.count));
    const map = opened.use(folder.openMap(
      marks.presence,
      machinery.bootId,
      `${wanted.identity.layerDigest} ${wanted.identity.ztocDigest} ${wanted.pack}`
        .trimEnd(),
    ));
    const layer = new OpenLayer(
      wanted,
      made,
      { folder, marks, map, sources, late },
      machinery,
    );
    opened.move();
    if (!folder.staysWhole) machinery.cache.add(layer);
    late.after(() => machinery.twins.add(layer.proof));
    if (layer.reader.complete) layer.#onComplete();
    return layer;
  }

  static async #make(
    { slot, identity, ztoc, diffId, claimant, costly, data }: WantedLayer,
    { opener, layersDirectory, files, headers, trees, saver }: Machinery,
  ): Promise<{ made: MadeLayer; folder: LayerFolder }> {
    const path = `${layersDirectory}/${slot}`;
    let begun: BegunFolder | undefined;
    const made = await opener.open(
      { slot, path, ztoc, headers, trees, image: files.wantsImage(slot) },
      {
        share: claimant,
        costly,
        onFiles: (found) =>
          begun = LayerFolder.begin(path, found, {
            ...{ diffId, data },
            ztocDigest: identity.ztocDigest,
          }, saver),
      },
    );
    if (begun === undefined) throw new OpeningError("no files were made");
    return { made, folder: LayerFolder.open(path, made, begun) };
  }

  /** Digest of the layer blob. */
  get layerDigest(): string {
    return this.identity.layerDigest;
  }

  /**
   * Its file tree, read from disk: not to be kept, it may be large.
   * @throws Error when it cannot be read.
   */
  readTree(): LayerTree {
    return this.#folder.readTree();
  }

  /** Whether all of it is here, was proven, and stays: the kernel needs nobody to read it. */
  get isWhole(): boolean {
    const { staysWhole, isChecked } = this.#folder;
    return staysWhole && isChecked && this.reader.complete;
  }

  /** The folder of its files on disk. */
  get folder(): string {
    return this.#folder.path;
  }

  /** What is known about its bytes beyond the ztoc. */
  get proof(): Proof {
    return this.#proof;
  }

  /** Size of the layer blob in bytes. */
  get compressedSize(): number {
    return this.#folder.compressedSize;
  }

  /** Where its spans are, in the blob and in the tar. */
  get spans(): SpanTable {
    return this.#folder.spans;
  }

  /** How many spans it has. */
  get spanCount(): number {
    return this.#folder.spans.count;
  }

  /** Resolves when the files that are made once are on disk. */
  get saved(): Promise<void> {
    return this.#folder.saved;
  }

  /** Its state in `LIFE`. */
  get state(): LayerState {
    return this.#life.state;
  }

  /** Whether it is served: `close` was not called. */
  get isServed(): boolean {
    return this.#life.isServed;
  }

  /** Adds a user. @throws LayerLifeError when the layer is closing. */
  share(): void {
    this.#life.take("share");
    this.#users++;
  }

  /** A user leaves. @returns whether it was the last one: then the layer is to be closed. */
  leave(): boolean {
    return --this.#users === 0;
  }

  /**
   * A claimant (the caller's name for who uses an image) uses the layer, and brings a source that holds its
   * blob. A read that fails at one source goes on to the next. One `removeSource` undoes one call. The
   * layer owns all sources, and they end with it.
   */
  addSource(claimant: string, source: SpanSource): void {
    this.reader.addSource(claimant, this.late.gate(source));
  }

  /** Bytes that a start pack brought of a span that is not here. */
  rangeBytes(span: number): number {
    return this.reader.ranges.bytesOf(span);
  }

  /** Ends one use by a claimant. After the last one its source is not asked again. */
  removeSource(claimant: string): void {
    this.reader.removeSource(claimant);
  }

  /** Whether a claimant has a source of this layer. */
  hasSource(claimant: string): boolean {
    return this.#sources.hasClaimant(claimant);
  }

  /** Host of the registry that its next bytes are likely to come from; empty for a local file. */
  get host(): string {
    return this.#sources.pick()?.host ?? "";
  }

  /** Resolves when the bytes are here. Waits as long as a read may wait. @throws as `PatientReads.ensure` */
  ensure(offset: number, length: number, signal: AbortSignal): Promise<void> {
    return this.#reads.ensure(offset, length, signal);
  }

  /** Copies bytes that are here; false when some were evicted meanwhile. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    return this.reader.copy(offset, into);
  }

  /**
   * Fetches what is missing, at the lowest priority. Ends when the layer closes or the cache's budget is
   * used up.
   * @throws SpanError, the source's error, OsError, or why the layer ended
   */
  async fill(): Promise<void> {
    if (!this.isServed) return;
    const { cache, uncached } = this.#machinery;
    const { signal } = this.#stop;
    await this.reader.fill(signal, () => cache.roomBytes);
    if (signal.aborted || uncached.broken.aborted) return;
    try {
      await this.map.sync(this.#folder.dataFd);
    } catch (error) {
      // Some writes are not on the disk, and the kernel reports that only once.
      if (error instanceof OsError) uncached.diskBroken(error.message);
      throw error;
    }
  }

  /**
   * Stops serving the layer at once. Resolves when nothing uses its descriptors and they are closed.
   * @param options.cache `discarded`: nothing is synced, and its disk space is freed.
   * @throws LayerLifeError when it was closed before.
   */
  async close(
    options: { readonly cache: "kept" | "discarded" },
  ): Promise<void> {
    this.#life.take("close");
    this.late.end();
    const { files, cache, twins, uncached } = this.#machinery;
    const keep = options.cache === "kept";
    cache.remove(this);
    twins.remove(this.#proof);
    this.#stop.abort(new Error("the layer is no longer served"));
    const idle = this.reader.close();
    if (keep && !uncached.broken.aborted) this.#folder.syncNow(this.map);
    // Takes the presence bytes back: nothing writes them from here on. After `detach`, the layers stay
    // listed for the successor.
    if (!files.detached) {
      files.remove(this.slot);
      this.pack[Symbol.dispose]();
    }
    this.map.freeze();
    await idle; // Workers write to the data file until then
    await this.late.settled();
    await this.map.close();
    await this.#folder.settled();
    if (!keep) await this.#folder.emptyData();
    this.#folder[Symbol.dispose]();
    this.#sources[Symbol.dispose]();
    this.#life.take("end");
  }

  /** Removes its folder once nothing writes into it. For a layer that is closed for good. */
  removeFolder(): Promise<void> {
    return this.#folder.remove();
  }

  readonly #onShown = (): void => this.#life.take("show");
  readonly #onUnshown = (): void => this.#life.take("fail");

  readonly #onPresent = (span: number): void =>
    this.#machinery.cache.present(this, span);

  readonly #onComplete = (): void => {
    this.#machinery.files.spansHere(this.slot, "here");
    this.#proof.checkWhole("later");
  };

  readonly #onGone = (): Promise<void> => {
    const { files, cache } = this.#machinery;
    files.spansHere(this.slot, "not here");
    const copied = files.spansGone(this.slot);
    cache.gone(this);
    return copied;
  };

  /** All of it came from whoever claims it: they have the layer. Others with the same tar may be filled from it. */
  readonly #onProven = (): void => {
    const { slots, twins } = this.#machinery;
    if (slots.isUnproven(this.slot)) slots.prove(this.slot);
    twins.proven(this.#proof);
  };

  readonly #onLie = (error: SpanError): void => {
    if (isDamage(this, this.#folder, error)) return;
    this.#life.take("condemn");
    condemnZtoc(this, this.#folder, error, this.#machinery.slots);
  };

  readonly #onFalseHead = (error: FalseHeadError): void => {
    this.#life.take("condemn");
    const { layerDigest } = this;
    this.reader.condemn(
      new SpanError("layer", layerDigest, 0, 0, error.message),
    );
    condemnHead(this, error);
  };
}
