import { logger } from "../../telemetry/mod.ts";

const log = logger("spans");

/** The most bytes kept in memory because the disk is full or broken, over all layers. */
const MAX_BYTES = 64 * 2 ** 20;
/** After the disk was full, how long to wait before another write is tried, ms. */
const DISK_REST_MS = 5_000;
/** How often a full disk is logged, ms. */
const DISK_WARNING_MS = 60_000;

/** A layer some of whose spans are in memory. */
export interface UncachedLayer {
  /** The span was dropped to make room for newer ones. */
  pushedOut(span: number): void;
}

/** How much is kept, and how a failing disk is treated. */
export interface UncachedOptions {
  /** The most bytes kept; the newest span may exceed it. Default: 64 MiB. */
  readonly maxBytes?: number;
  /** How long not to write after the disk was full, ms. Default: five seconds. */
  readonly diskRestMs?: number;
  /** Whether a cache may take more of the disk. Always when not given. */
  readonly mayGrow?: () => boolean;
}

/**
 * Spans that could not be written because the disk is full or broken. They are kept in memory for their
 * waiting readers until newer ones need the room. The layer with the most bytes here loses its spans
 * first.
 */
export class UncachedSpans {
  readonly #spans = new Map<
    UncachedLayer,
    Map<number, Uint8Array<ArrayBuffer>>
  >();
  /** Oldest first. */
  readonly #order: { layer: UncachedLayer; span: number; size: number }[] = [];
  readonly #maxBytes: number;
  readonly #diskRestMs: number;
  readonly #mayGrow: () => boolean;
  #bytes = 0;
  #fullAtMs = -Infinity;
  #warnedAtMs = -Infinity;
  readonly #broken = new AbortController();

  /** Starts empty, with a disk that is trusted. */
  constructor(options: UncachedOptions = {}) {
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#diskRestMs = options.diskRestMs ?? DISK_REST_MS;
    this.#mayGrow = options.mayGrow ?? (() => true);
  }

  /**
   * Notes that a write failed because the disk is full. No write is tried for a while. Logs it now
   * and then.
   */
  diskFull(detail: string): void {
    if (this.broken.aborted) return;
    const now = performance.now();
    this.#fullAtMs = now;
    if (now - this.#warnedAtMs < DISK_WARNING_MS) return;
    this.#warnedAtMs = now;
    log.warn("the cache cannot be written, layers are read uncached", {
      detail,
    });
  }

  /**
   * Notes that the disk returned an I/O error. After that it may return zeros for writes that the
   * kernel could not finish. So from now on nothing on it is trusted, and nothing is written to it.
   */
  diskBroken(detail: string): void {
    if (this.#broken.signal.aborted) return;
    log.error(
      "the cache disk gives I/O errors: layers are read uncached until the daemon is started on another disk",
      { detail },
    );
    this.#broken.abort(new Error(detail));
  }

  /** Aborted once the disk is broken; the reason says how. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  /** Whether the disk is whole, and what is free of it may be taken. */
  get mayTakeRoom(): boolean {
    return !this.broken.aborted && this.#mayGrow();
  }

  /** Whether it is time to try the disk again. */
  get mayWrite(): boolean {
    return this.mayTakeRoom &&
      performance.now() - this.#fullAtMs >= this.#diskRestMs;
  }

  /** A span's bytes, if they are here. */
  get(layer: UncachedLayer, span: number): Uint8Array<ArrayBuffer> | undefined {
    return this.#spans.get(layer)?.get(span);
  }

  /** Keeps a span. */
  put(
    layer: UncachedLayer,
    span: number,
    bytes: Uint8Array<ArrayBuffer>,
  ): void {
    this.delete(layer, span);
    this.#spans.getOrInsertComputed(layer, () => new Map()).set(span, bytes);
    this.#order.push({ layer, span, size: bytes.length });
    this.#bytes += bytes.length;
    while (this.#bytes > this.#maxBytes && this.#order.length > 1) {
      const oldest = this.#oldestOf(this.#largest());
      this.delete(oldest.layer, oldest.span);
      oldest.layer.pushedOut(oldest.span);
    }
  }

  /** The layer with the most bytes. It makes room, so that no layer can push all others out. */
  #largest(): UncachedLayer {
    const bytes = new Map<UncachedLayer, number>();
    for (const { layer, size } of this.#order) {
      bytes.set(layer, (bytes.get(layer) ?? 0) + size);
    }
    return [...bytes].reduce((most, one) => one[1] > most[1] ? one : most)[0];
  }

  #oldestOf(layer: UncachedLayer) {
    const newest = this.#order.at(-1)!;
    return this.#order.find((kept) =>
      kept.layer === layer && kept !== newest
    ) ??
      this.#order[0]!;
  }

  /** Drops a span. */
  delete(layer: UncachedLayer, span: number): void {
    const at = this.#order.findIndex((kept) =>
      kept.layer === layer && kept.span === span
    );
    if (at < 0) return;
    this.#bytes -= this.#order[at]!.size;
    this.#order.splice(at, 1);
    const spans = this.#spans.get(layer);
    spans?.delete(span);
    if (spans?.size === 0) this.#spans.delete(layer);
  }

  /** The kept spans of a layer. */
  of(layer: UncachedLayer): number[] {
    return [...this.#spans.get(layer)?.keys() ?? []];
  }
}
