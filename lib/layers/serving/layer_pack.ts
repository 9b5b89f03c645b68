import { logger } from "../../telemetry/mod.ts";
import type { LayerFileSystem, LayerRangeTable } from "../fs/mod.ts";
import type { LayerReader, PackedRange } from "../spans/mod.ts";
import {
  type LayerIdentity,
  NO_PACK,
  type SlotTableStore,
} from "../store/mod.ts";

const log = logger("images");

/** The parts of an open layer that its pack needs. All stay the layer's. */
export interface PackParts {
  /** Of the layer. */
  readonly slot: number;
  /** Of the layer, without its pack. */
  readonly identity: LayerIdentity;
  /** The digest of its load order, or `NO_PACK`. */
  readonly digest: string;
  /** Of the layer. */
  readonly reader: LayerReader;
  /** Shows the layer. */
  readonly files: LayerFileSystem;
  /** Remembers packs that lied. */
  readonly slots: SlotTableStore;
  /** The layer is served no longer, or is left to a successor. */
  readonly isOver: () => boolean;
}

/** What a pack brought for one layer, bytes of its tar. */
export interface PackUse {
  /** Written, ahead of their spans. */
  readonly arrivedBytes: number;
  /** Of those the ones that somebody has read. */
  readonly readBytes: number;
  /** Reads that waited for bytes on their way. */
  readonly lateReads: number;
  /** Bytes that those asked for. */
  readonly lateBytes: number;
}

/**
 * What a start pack brings for one open layer. The layer is one of its own while it has a pack: nobody but
 * images with that pack get it, as nobody can check the bytes before their spans come.
 */
export class LayerPack implements Disposable {
  /** The digest of its load order, or `NO_PACK`: then it takes nothing. */
  readonly digest: string;
  readonly #parts: PackParts;
  readonly #lied = new AbortController();
  #table: LayerRangeTable | null = null;
  #isWithdrawn = false;

  /** Expects nothing yet. */
  constructor(parts: PackParts) {
    this.#parts = parts;
    this.digest = parts.digest;
  }

  /** Aborted once a span, of this layer or another one of the image, showed that the pack held other bytes. */
  get lied(): AbortSignal {
    return this.#lied.signal;
  }

  /** What came, and what of it was of use. */
  get use(): PackUse {
    const { ranges } = this.#parts.reader;
    return { ...ranges.figures, readBytes: ranges.usedBytes() };
  }

  /**
   * Readers of these ranges wait for the pack from now on. Once for a layer.
   * @param received bytes of the packs that have come so far: see `PackedRange.packEnd`.
   * @returns how many bytes are expected; 0 where nothing can be taken.
   */
  expect(ranges: readonly PackedRange[], received: () => number): number {
    const { reader, files, slot, isOver } = this.#parts;
    if (
      this.digest === NO_PACK || this.#table !== null || isOver() ||
      this.lied.aborted
    ) return 0;
    const cut = reader.ranges.cut(ranges);
    const count = cut.starts.length;
    if (count === 0) return 0;
    try {
      this.#table = files.reserveRanges(count);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      log.warn("too many ranges of start packs are expected at once", {
        slot,
      });
      return 0;
    }
    reader.ranges.expect(cut, this.#table.table, received);
    files.showRanges(slot, this.#table);
    files.packHere(slot, "here");
    let bytes = 0;
    for (let i = 0; i < count; i++) bytes += cut.ends[i]! - cut.starts[i]!;
    return bytes;
  }

  /** Bytes of the tar have come. Those that are not expected, or not any more, are left out. */
  accept(offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    const { reader, isOver } = this.#parts;
    if (isOver()) return; // its descriptors may be another file's by now
    reader.ranges.accept(offset, bytes);
  }

  /** Whether bytes of any range are still on their way. */
  get isAwaited(): boolean {
    return this.digest !== NO_PACK && this.#parts.reader.ranges.isAwaited;
  }

  /** Whether any of these bytes is on its way. */
  awaits(offset: number, length: number): boolean {
    return this.#parts.reader.ranges.awaits(offset, length);
  }

  /** Nothing more will come: who waits for it has its span fetched. */
  end(): void {
    this.#parts.reader.ranges.endOfPack();
  }

  /** A span has come, and the pack had held other bytes. */
  readonly onLie = (span: number, offset: number): void => {
    const { slot, identity } = this.#parts;
    if (
      this.condemn(
        `bytes at ${offset} of layer ${identity.layerDigest} are others than those of its span ${span}`,
      )
    ) {
      log.error(
        "a start pack lied: nothing of it is shown any more; containers that run keep what the kernel has cached, restart them",
        { slot, layer: identity.layerDigest, pack: this.digest, span, offset },
      );
    }
  };

  /**
   * Uses nothing more of the pack, and never again for an image with this layer.
   * @returns false where that was so already.
   */
  condemn(reason: string): boolean {
    if (this.lied.aborted) return false;
    const { slots, identity } = this.#parts;
    this.#lied.abort(new Error(reason));
    slots.condemnPack(this.digest, identity, reason);
    slots.sync().catch((error) =>
      log.warn("that a start pack lies may be forgotten", {
        error: String(error),
      })
    );
    this.withdraw(this.#lied.signal.reason);
    return true;
  }

  /** Shows nothing more of the pack, to nobody that starts from now on. */
  withdraw(reason: Error): void {
    const { reader, files, slot } = this.#parts;
    if (this.#isWithdrawn || this.digest === NO_PACK) return;
    this.#isWithdrawn = true;
    this.#lied.abort(reason);
    const isWrong = (from: number, to: number) =>
      reader.ranges.touches(from, to);
    reader.dropRanges().then(() => files.showAnew(slot, isWrong)).catch((
      error,
    ) =>
      log.error("a layer may still show what a start pack lied about", {
        slot,
        error: String(error),
      })
    );
    files.packHere(slot, "not here");
  }

  /** Gives the memory of its ranges back. The layer must not be listed any more. */
  [Symbol.dispose](): void {
    this.#table?.[Symbol.dispose]();
  }
}
