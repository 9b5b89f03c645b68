import { logger } from "../../telemetry/mod.ts";
import type { SpanTable } from "../../formats/ztoc/mod.ts";
import type { LayerReader } from "./reader.ts";
import type { SpanMap } from "./map.ts";

const log = logger("spans");

/**
 * Share of the budget that is freed when the budget is exceeded, so that not every span exceeds it
 * again.
 */
const FREED_SHARE = 1 / 16;
/** How long to wait when nothing could be evicted, ms. */
const RETRY_MS = 100;
/** How often use marks are collected, ms: uses closer together count as one. */
const LOOK_MS = 15_000;

/** One layer in the cache. */
export interface CachedLayer {
  /** How large its spans are. */
  readonly spans: SpanTable;
  /** Which spans are present. */
  readonly map: SpanMap;
  /** Evicts spans. */
  readonly reader: Pick<LayerReader, "evict">;
  /** Use marks, one byte per span: set by readers, cleared here. */
  readonly uses: Uint8Array;
  /** Bytes that are here of a span that is not. */
  rangeBytes(span: number): number;
}

/** Layers on disk that are not served; they are removed before any span of a served layer is evicted. */
export interface IdleLayers {
  /** Bytes that these layers take. */
  readonly bytes: number;
  /** Removes layers until at least this many bytes are freed, or none is left. */
  free(bytes: number): void;
}

interface Member {
  readonly layer: CachedLayer;
  /** When each span was last used, in ticks of the cache's own clock. */
  readonly lastUse: Float64Array;
  /** Bytes of each span that are here. */
  readonly held: Float64Array;
  bytes: number;
}

/**
 * Keeps the spans of all layers within a budget of uncompressed bytes: it evicts the least recently used
 * ones, while their layers stay mounted and in use.
 *
 * A reader only sets a span's use byte, which costs next to nothing. The marks are collected from time
 * to time, after a part of the budget has arrived, and when room is needed. Between two collections all
 * uses count as one.
 */
export class SpanCache implements Disposable {
  readonly #members = new Map<CachedLayer, Member>();
  readonly #maxBytes: number;
  readonly #idle: IdleLayers | null;
  readonly #looking: ReturnType<typeof setInterval> | undefined;
  #bytes = 0;
  #clock = 1;
  /** Bytes that arrived since use marks were last collected. */
  #arrivedBytes = 0;
  #evicting: ReturnType<typeof setTimeout> | undefined;
  #started = false;
  #evictedBytes = 0;

  /**
   * A cache that evicts nothing before `start`.
   * @param options.maxBytes the budget. Default, or 0: no limit.
   * @param options.idle layers to remove before any span of a served layer is evicted.
   */
  constructor(
    options: { readonly maxBytes?: number; readonly idle?: IdleLayers } = {},
  ) {
    this.#maxBytes = options.maxBytes || Infinity;
    this.#idle = options.idle ?? null;
    if (this.#maxBytes === Infinity) return;
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    Deno.unrefTimer(this.#looking);
  }

  /** Begins to evict; until now another process may still have been reading the spans. */
  start(): void {
    this.#started = true;
    this.#evictSoon();
  }

  /** Bytes of all present spans, and of layers that are not served. */
  get bytes(): number {
    return this.#bytes + (this.#idle?.bytes ?? 0);
  }

  /** The budget; Infinity when there is none. */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Uncompressed bytes evicted so far. */
  get evictedBytes(): number {
    return this.#evictedBytes;
  }

  /** Room for background data, which must not evict what readers have used. */
  get roomBytes(): number {
    return Math.max(0, this.#maxBytes - this.bytes);
  }

  /** Adds a layer and counts its present spans. */
  add(layer: CachedLayer): void {
    const member: Member = {
      layer,
      lastUse: new Float64Array(layer.spans.count),
      held: new Float64Array(layer.spans.count),
      bytes: 0,
    };
    for (let span = 0; span < layer.spans.count; span++) {
      this.#count(member, span);
    }
    this.#members.set(layer, member);
    this.#evictSoon();
  }

  /**
   * Removes a layer that is no longer served. Its spans stay on disk and are not evicted any more.
   */
  remove(layer: CachedLayer): void {
    const member = this.#members.get(layer);
    if (member === undefined) return;
    this.#members.delete(layer);
    this.#bytes -= member.bytes;
  }

  /** Another layer is not served any more: one of those that were not counted before, perhaps. */
  idled(): void {
    this.#evictSoon();
  }

  /** Counts what is here of a span now. @returns how much more that is */
  #count(member: Member, span: number): number {
    const { layer, held } = member;
    const bytes = layer.map.has(span)
      ? sizeOf(layer.spans, span)
      : layer.rangeBytes(span);
    const more = bytes - held[span]!;
    held[span] = bytes;
    member.bytes += more;
    this.#bytes += more;
    return more;
  }

  /** A span of a layer has arrived, or a part of it. */
  present(layer: CachedLayer, span: number): void {
    const member = this.#members.get(layer);
    if (member === undefined) return;
    member.lastUse[span] = ++this.#clock;
    this.#arrivedBytes += this.#count(member, span);
    if (this.#arrivedBytes > this.#maxBytes * FREED_SHARE) this.#look();
    this.#evictSoon();
  }

  /** Spans of a layer were evicted or withdrawn. */
  gone(layer: CachedLayer): void {
    const member = this.#members.get(layer);
    if (member === undefined) return;
    const before = member.bytes;
    for (let span = 0; span < layer.spans.count; span++) {
      this.#count(member, span);
    }
    this.#evictedBytes += before - member.bytes;
  }

  /** Evicts in a later turn of the event loop, so that the newest span's waiters read it first. */
  #evictSoon(delayMs = 0): void {
    if (!this.#started || this.bytes <= this.#maxBytes) return;
    this.#evicting ??= setTimeout(async () => {
      const before = this.bytes;
      try {
        await this.#evict();
      } finally {
        this.#evicting = undefined;
        this.#evictSoon(this.bytes < before ? 0 : RETRY_MS);
      }
    }, delayMs);
  }

  /** Collects use marks into `lastUse`. */
  #look(): void {
    const now = ++this.#clock;
    this.#arrivedBytes = 0;
    for (const { layer, lastUse } of this.#members.values()) {
      const { uses } = layer;
      for (let span = 0; span < lastUse.length; span++) {
        if (uses[span] === 0) continue;
        uses[span] = 0;
        lastUse[span] = now;
      }
    }
  }

  async #evict(): Promise<void> {
    const excess = () => this.bytes - this.#maxBytes * (1 - FREED_SHARE);
    this.#idle?.free(excess());
    if (excess() <= 0) return;
    this.#look();
    const candidates: { member: Member; span: number; lastUse: number }[] = [];
    for (const member of this.#members.values()) {
      const { held, lastUse } = member;
      for (let span = 0; span < held.length; span++) {
        if (held[span] === 0) continue;
        candidates.push({ member, span, lastUse: lastUse[span]! });
      }
    }
    candidates.sort((a, b) => a.lastUse - b.lastUse);
    let left = excess();
    const victims = new Map<CachedLayer, number[]>();
    for (const { member: { layer, held }, span } of candidates) {
      if (left <= 0) break;
      victims.getOrInsertComputed(layer, () => []).push(span);
      left -= held[span]!;
    }
    if (victims.size === 0) return;
    const before = this.bytes;
    await Promise.all(
      [...victims].map(([{ reader }, spans]) => reader.evict(spans)),
    );
    log.debug("least recently used spans were given up", {
      bytes: before - this.bytes,
      layers: victims.size,
    });
  }

  /** Stops evicting. */
  [Symbol.dispose](): void {
    clearInterval(this.#looking);
    clearTimeout(this.#evicting);
    this.#started = false;
    this.#members.clear();
  }
}

const sizeOf = (spans: SpanTable, span: number) =>
  spans.end(span) - spans.start(span);
