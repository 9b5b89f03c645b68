import type { Digest } from "../../formats/oci/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import { OsError } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { LayerMarks, ServedLayer } from "../fs/mod.ts";
import {
  type CachedLayer,
  type ChallengedLayer,
  LayerReader,
  showsLayer,
  type SpanError,
  type SpanMap,
  type SpanSource,
  SpanSources,
} from "../spans/mod.ts";
import { LayerFolder, type LayerIdentity } from "../store/mod.ts";
import type { LayerTree } from "../tree/mod.ts";
import { LayerCheck } from "./layer_check.ts";
import { LayerLife, type LayerState } from "./life.ts";
import type { Machinery } from "./machinery.ts";
import { PatientReads } from "./patient_reads.ts";
import { untilAborted } from "./until_aborted.ts";

const log = logger("images");

/** A layer that is to be opened. */
export interface WantedLayer {
  /** Of that identity, in the slot table. */
  readonly slot: number;
  /** Which layer, by which ztoc. */
  readonly identity: LayerIdentity;
  /** Of the digest that `identity` names. */
  readonly ztocBytes: Uint8Array<ArrayBuffer>;
  /** What the whole tar must be; null when that was checked already. */
  readonly diffId: Digest | null;
  /** Where its bytes come from; the layer disposes of it. */
  readonly source: SpanSource;
  /** On whose word: see `OpenLayer.addSource`. */
  readonly claimant: string;
}

/** What an open layer is put together from. */
interface Parts {
  readonly folder: LayerFolder;
  readonly marks: LayerMarks;
  readonly map: SpanMap;
  readonly sources: SpanSources;
}

/**
 * A layer that is being served: its folder, which spans are in it, what reads and fills it, from
 * where, and who uses it. `LIFE` is the table of its life.
 *
 * It is open from `open` to the end of `close`, whoever uses it: the registry (`LayerStore`) closes
 * it when the last user has left. Nothing in here holds the ztoc or the file tree: the first is
 * decoded in `LayerFolder.open` and goes no further, the second is handed on to the file system. The
 * functions that others keep are fields, so they reach this object and no variable of whoever made it.
 */
export class OpenLayer implements ServedLayer, CachedLayer {
  /** The name of its folder, and the high half of its nodeids. */
  readonly slot: number;
  /** Which layer it is, by which ztoc: what tells it from every other. */
  readonly identity: LayerIdentity;
  /** Its root, read-only; may be a lower directory of overlay. */
  readonly directory: string;
  /** Of that directory. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /**
   * Resolves when the directory is in place, and all a successor needs is on disk; rejects when that
   * cannot be.
   */
  readonly shown: Promise<void>;
  /** Makes its bytes readable. */
  readonly reader: LayerReader;
  /** Files, directories and all else in it. */
  readonly inodes: number;
  /** Whether any of them has extended attributes. */
  readonly hasXattrs: boolean;
  /** Which spans are here, one byte each. */
  readonly map: SpanMap;
  /** Which spans were read, one byte each. */
  readonly uses: Uint8Array;

  readonly #machinery: Machinery;
  readonly #folder: LayerFolder;
  readonly #sources: SpanSources;
  readonly #check: LayerCheck;
  readonly #reads: PatientReads;
  readonly #life = new LayerLife();
  /** Ends what is done for the layer and not for a reader. */
  readonly #stop = new AbortController();
  #users = 1;
  /** Whether nobody was shown to have it: the first span that comes shows it. */
  #isUnproven: boolean;

  private constructor(
    wanted: WantedLayer,
    tree: LayerTree,
    { folder, marks, map, sources }: Parts,
    machinery: Machinery,
  ) {
    const { slot, identity: { layerDigest } } = wanted;
    this.slot = slot;
    this.identity = wanted.identity;
    this.owner = { uid: tree.uid[0] as number, gid: tree.gid[0] as number };
    this.inodes = tree.inodes;
    this.hasXattrs = tree.hasXattrs;
    this.map = map;
    this.uses = marks.uses;
    this.#machinery = machinery;
    this.#isUnproven = machinery.slots.isUnproven(slot);
    this.#folder = folder;
    this.#sources = sources;
    this.#check = new LayerCheck({ layerDigest, folder, sources });
    const { files, scheduler, pool, uncached, maxReadAheadBytes } = machinery;
    this.reader = new LayerReader({
      layerDigest,
      spans: folder.spans,
      compression: folder.compression,
      map,
      dataFd: folder.dataFd,
      sources,
      scheduler,
      pool,
      headers: folder.headers,
      uncached,
      maxReadAheadBytes,
      onFetched: machinery.countFetched,
      onPresent: this.#onPresent,
      onComplete: this.#onComplete,
      onGone: this.#onGone,
      onLie: this.#onLie,
    });
    this.#reads = new PatientReads(this.reader, machinery.readWaitMs);
    try {
      // The last thing: from here on readers come.
      const { directory, shown } = files.add(this, tree, marks);
      this.directory = directory;
      this.shown = whenBoth(shown, folder.saved);
    } catch (error) {
      this.reader.close(); // nothing is under way
      throw error;
    }
    this.shown.then(this.#onShown, this.#onUnshown);
  }

  /**
   * Opens a layer and begins to show it; its first user is the caller.
   * @throws ZtocError, TreeCompileError, OsError; RangeError when too many layers are open
   */
  static open(wanted: WantedLayer, machinery: Machinery): OpenLayer {
    using opened = new DisposableStack();
    const { slot, ztocBytes, diffId, source, claimant } = wanted;
    const sources = opened.use(new SpanSources());
    sources.add(claimant, source);
    const { folder, tree } = LayerFolder.open({
      path: `${machinery.layersDirectory}/${slot}`,
      ztocBytes,
      diffId,
      headers: machinery.headers,
      saver: machinery.saver,
    });
    opened.use(folder);
    machinery.idle.take(slot);
    const marks = opened.use(machinery.files.reserve(folder.spans.count));
    const map = opened.use(folder.openMap(marks.presence, machinery.bootId));
    const layer = new OpenLayer(
      wanted,
      tree,
      { folder, marks, map, sources },
      machinery,
    );
    opened.move();
    machinery.cache.add(layer);
    if (layer.reader.complete) layer.#onComplete();
    return layer;
  }

  /** Digest of the layer blob. */
  get layerDigest(): string {
    return this.identity.layerDigest;
  }

  /** What its tar is said to be; null where nobody said. */
  get diffId(): Digest | null {
    return this.#folder.diffId;
  }

  /** Bytes of the layer blob. */
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

  /** Resolves when all that is made once of it is on disk. */
  get saved(): Promise<void> {
    return this.#folder.saved;
  }

  /** Where it is in its life. */
  get state(): LayerState {
    return this.#life.state;
  }

  /** Whether it is served: it was not asked to close. */
  get isServed(): boolean {
    return this.#life.isServed;
  }

  /** One more user has it. @throws LayerLifeError when nobody else may. */
  share(): void {
    this.#life.take("share");
    this.#users++;
  }

  /** A user leaves. @returns whether it was the last one: then the layer is to be closed. */
  leave(): boolean {
    return --this.#users === 0;
  }

  /**
   * A claimant (who an image speaks for, by a name of the caller's) uses the layer from a source that
   * was shown to hold its blob. Reads fail over between all sources. Each call is undone by one
   * `removeSource`; all end with the layer, which owns them.
   */
  addSource(claimant: string, source: SpanSource): void {
    this.reader.addSource(claimant, source);
  }

  /** One use of a claimant ends; with the last one its source is asked for nothing more. */
  removeSource(claimant: string): void {
    this.reader.removeSource(claimant);
  }

  /** Whether the layer may be fetched on the word of a claimant. */
  hasSource(claimant: string): boolean {
    return this.#sources.hasClaimant(claimant);
  }

  /** The registry its next bytes are likely to come from; empty for a file of this machine. */
  get host(): string {
    return this.#sources.pick()?.host ?? "";
  }

  /** What a source is asked for that is to show that it has the layer. */
  get challenged(): ChallengedLayer {
    return {
      spans: this.spans,
      compression: this.#folder.compression,
      has: (span) => this.map.has(span),
      copy: (offset, into) => this.copy(offset, into),
    };
  }

  /** Has the layer's own source show that it has it, where that was not seen yet. Never throws. */
  async challengeOwn(timeoutMs: number): Promise<void> {
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(timeoutMs),
    ]);
    const shown = await showsLayer(this.challenged, {
      host: this.host,
      fetch: (start, end, into, signal) =>
        this.#sources.fetch(start, end, into, { signal, timeoutMs }),
    }, signal)
      .catch(() => false); // the next span that comes will show it
    if (shown && this.isServed) this.#prove();
  }

  /** The diff ID that this daemon has seen the whole tar to have; null while it has not. */
  get provenDiffId(): Digest | null {
    return this.#folder.isChecked && this.state !== "condemned"
      ? this.#folder.diffId
      : null;
  }

  /**
   * Fetches the rest of the layer and compares all of it with its diff ID.
   * @returns whether it has that diff ID.
   * @throws as `fill`, or the signal's reason
   */
  async whenProven(signal: AbortSignal): Promise<boolean> {
    if (this.provenDiffId === null) {
      await untilAborted(this.fill(), signal);
      if (this.reader.complete) {
        await untilAborted(this.#checkWhole("at once"), signal);
      }
    }
    return this.provenDiffId !== null;
  }

  /** Resolves when the bytes are here; waits as long as a read may. @throws as `PatientReads.ensure` */
  ensure(offset: number, length: number, signal: AbortSignal): Promise<void> {
    return this.#reads.ensure(offset, length, signal);
  }

  /** Copies bytes that are here; false when some are gone again. */
  copy(offset: number, into: Uint8Array<ArrayBuffer>): boolean {
    return this.reader.copy(offset, into);
  }

  /**
   * Fetches what is missing, behind everything else; ends with the layer, or when the cache's budget
   * is used up.
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
      // What was written is not on the disk, and the kernel tells of it once.
      if (error instanceof OsError) uncached.diskBroken(error.message);
      throw error;
    }
  }

  /**
   * Serves the layer no more from the moment it is called; resolves when nothing uses its
   * descriptors and they are closed.
   * @param options.cache `discarded`: nothing of it is synced, and its disk is given back.
   * @throws LayerLifeError when it was closed before.
   */
  async close(
    options: { readonly cache: "kept" | "discarded" },
  ): Promise<void> {
    this.#life.take("close");
    const { files, cache, uncached } = this.#machinery;
    const keep = options.cache === "kept";
    cache.remove(this);
    this.#stop.abort(new Error("the layer is no longer served"));
    const idle = this.reader.close();
    if (keep && !uncached.broken.aborted) this.#syncNow();
    // Takes the presence bytes back: nothing writes them from here on. A successor's layers stay
    // listed.
    if (!files.detached) files.remove(this.slot);
    this.map.freeze();
    await idle; // Workers write to the data file until then
    await this.map.close();
    await this.#folder.settled();
    if (!keep) this.#folder.emptyData();
    this.#folder[Symbol.dispose]();
    this.#sources[Symbol.dispose]();
    this.#life.take("end");
  }

  /** Removes its folder, once nothing is being written into it: for a layer that is closed for good. */
  removeFolder(): Promise<void> {
    return this.#folder.remove();
  }

  #syncNow(): void {
    try {
      this.map.syncNow(this.#folder.dataFd);
    } catch (error) {
      // Unsynced marks are simply not trusted after a reboot.
      log.warn("cache could not be synced", {
        layer: this.layerDigest,
        error: String(error),
      });
    }
  }

  readonly #onShown = (): void => this.#life.take("show");
  readonly #onUnshown = (): void => this.#life.take("fail");

  readonly #onPresent = (span: number): void => {
    if (this.#isUnproven) this.#prove();
    this.#machinery.cache.present(this, span);
  };

  /** Bytes came, and passed their digest: whoever claims the layer has it. */
  #prove(): void {
    this.#isUnproven = false;
    this.#machinery.slots.prove(this.slot);
  }

  readonly #onComplete = (): void => {
    this.#machinery.files.spansHere(this.slot, "here");
    this.#checkWhole("later");
  };

  readonly #onGone = (): Promise<void> => {
    const { files, cache } = this.#machinery;
    files.spansHere(this.slot, "not here");
    const copied = files.spansGone(this.slot);
    cache.gone(this);
    return copied;
  };

  /** Sees to it that the ztoc is not used again. What is wrong was told to readers already. */
  readonly #onLie = (error: SpanError): void => {
    this.#life.take("condemn");
    const { slots } = this.#machinery;
    // What its headers or spans say is the ztoc's word alone; what the whole is, an image's, too.
    const { diffId } = this.#folder;
    slots.condemn(
      this.identity,
      error.message,
      error.kind === "layer" && diffId !== null ? diffId : "",
    );
    slots.sync().catch((error) =>
      log.warn("that a ztoc lies may be forgotten", { error: String(error) })
    );
    log.error("ztoc lies about its layer and is not used again", {
      layer: this.layerDigest,
      ztoc: this.identity.ztocDigest,
      kind: error.kind,
      span: error.span,
      error: error.message,
    });
  };

  /** Compares the layer, which is all here, with its diff ID, once. */
  async #checkWhole(when: "at once" | "later"): Promise<void> {
    const { signal } = this.#stop;
    try {
      const lie = await this.#check.run(this.reader, signal, when);
      if (lie === null || signal.aborted) return;
      this.reader.condemn(lie); // first: that it is noted depends on the disk
      this.#onLie(lie);
    } catch (error) {
      if (signal.aborted) return;
      log.warn("layer could not be checked as a whole", {
        layer: this.layerDigest,
        error: String(error),
      });
    }
  }
}

async function whenBoth(
  one: Promise<void>,
  other: Promise<void>,
): Promise<void> {
  await Promise.all([one, other]);
}
