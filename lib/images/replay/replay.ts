import type { Digest } from "../../formats/oci/mod.ts";
import {
  decodeOrderManifest,
  decodePlan,
  type LoadOrder,
  type PackFrame,
  PLAN_LIMITS,
  type UnpackedRange,
} from "../../formats/order/mod.ts";
import type {
  LayerRange,
  LayerStore,
  OpenLayer,
} from "../../layers/serving/mod.ts";
import type { PackedRange } from "../../layers/spans/mod.ts";
import type { FoundOrder, IndexedImage } from "../../remote/image/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { HeldRanges } from "./held_ranges.ts";
import { type ReplayClient, streamFrames } from "./pack_stream.ts";
import { type LayerNow, PlanCursor } from "./plan_cursor.ts";

const log = logger("images");

/** How long manifest and plan may take, ms. */
const PLAN_MS = 30_000;
/** How often it is looked whether another layer has been opened, ms. */
const LOOK_MS = 20;
/** How long a layer that the plan names may take to be opened, ms. */
const OPEN_MS = 60_000;

/** What a replay works with. */
export interface ReplayParts {
  readonly client: ReplayClient;
  readonly store: LayerStore;
  readonly image: IndexedImage;
  readonly order: FoundOrder;
  /** Its plan, where it is no artifact of a registry: what this node has learned. */
  readonly learned?: Promise<LoadOrder | null>;
  /** Whether bytes of its packs may be used. */
  readonly packs: "used" | "not used";
  /** The most compressed bytes of packs, and of spans that are fetched for the plan's sake. */
  readonly maxBytes: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * The replay of one load order for one image.
 *
 * Layers come as they are opened, the plan as it is fetched, in any order. Once both are there, the layer's
 * ranges are expected, and frames that hold any of them stream. Frames for layers that open while others
 * stream are held for a moment, or come in the next pass.
 */
export class Replay {
  readonly #parts: ReplayParts;
  readonly #layers = new Map<Digest, OpenLayer>();
  /** Layers that the plan names and that may still be opened. */
  readonly #awaited: Set<Digest>;
  readonly #held = new HeldRanges();
  readonly #plan: Promise<LoadOrder | null>;
  readonly #end = new AbortController();
  #order: LoadOrder | null = null;
  #ranges: ReadonlyMap<Digest, readonly PackedRange[]> = new Map();
  #received = 0;
  #hintedBytes = 0;
  #hasStreamed = false;
  #streaming: Promise<void> | null = null;
  #hinting: Promise<void> | null = null;

  /** Begins to fetch the plan. */
  constructor(parts: ReplayParts) {
    this.#parts = parts;
    this.#awaited = new Set(
      parts.image.layers.map(({ descriptor }) => descriptor.digest),
    );
    this.#plan = parts.learned ?? this.#readPlan();
    this.#plan.then((order) => {
      if (order === null) return;
      this.#order = order;
      this.#ranges = rangesOf(order, parts.maxBytes);
      for (const layer of this.#layers.values()) this.#expect(layer);
      this.#run();
    });
  }

  /** Whether a pack's bytes may be used at this moment. */
  get usesPacks(): boolean {
    return this.#parts.packs === "used" && !this.#end.signal.aborted &&
      this.#order?.frames.length !== 0;
  }

  /** Whether it is of a start that this node recorded, and not of a load order. */
  get isLearned(): boolean {
    return this.#parts.learned !== undefined;
  }

  /** Whether there is a plan that can be used. */
  get isKnown(): boolean {
    return this.#order !== null;
  }

  /** The digest of its load order. */
  get digest(): Digest {
    return this.#parts.order.descriptor.digest;
  }

  /** A layer of the image is open. */
  opened(layer: OpenLayer): void {
    const digest = layer.layerDigest as Digest;
    this.#awaited.delete(digest);
    if (this.#layers.get(digest) === layer) return;
    this.#layers.set(digest, layer);
    layer.pack.lied.addEventListener("abort", () => this.#lied(layer), {
      once: true,
    });
    this.#expect(layer);
    this.#run();
  }

  /** A layer of the image cannot be opened. */
  lost(digest: Digest): void {
    this.#awaited.delete(digest);
    this.#held.take(digest);
  }

  /** As the image was named. */
  get image(): string {
    return this.#parts.image.reference.toString();
  }

  /** Of the image's manifest. */
  get manifest(): Digest {
    return this.#parts.image.descriptor.digest;
  }

  /** Which workload its load order is for. */
  get workload(): string {
    return this.#parts.order.workload;
  }

  /** Whether the image's digest covers its load order. */
  get isPinned(): boolean {
    return this.#parts.order.isPinned;
  }

  /** Compressed bytes of spans that were fetched because the order names them. */
  get hintedBytes(): number {
    return this.#hintedBytes;
  }

  /** Layers that were opened, and are served still. */
  get layers(): readonly OpenLayer[] {
    return [...this.#layers.values()].filter(({ isServed }) => isServed);
  }

  /** Resolves when nothing is under way. Never rejects. */
  async settled(): Promise<void> {
    await this.#plan;
    while (this.#streaming !== null || this.#hinting !== null) {
      await Promise.all([this.#streaming, this.#hinting]);
    }
  }

  /** Manifest and plan; null when they cannot be had, which costs nothing but the gain. */
  async #readPlan(): Promise<LoadOrder | null> {
    const { client, image, order, signal } = this.#parts;
    const { reference } = image;
    const late = AbortSignal.any([signal, AbortSignal.timeout(PLAN_MS)]);
    try {
      const { bytes } = await client.manifest(reference, {
        digest: order.descriptor.digest,
        signal: late,
      });
      const { plan, packs, subject } = decodeOrderManifest(bytes);
      const of = image.descriptor.digest;
      if (!order.isPinned && subject?.digest !== of) {
        throw new Error(`load order is not of manifest ${of}`);
      }
      const decoded = decodePlan(
        await client.blobBytes(reference, plan, {
          maxBytes: PLAN_LIMITS.planBytes,
          signal: late,
        }),
      );
      assertPacks(decoded, packs);
      return decoded;
    } catch (error) {
      if (!signal.aborted) {
        log.warn("load order cannot be used, the image starts without", {
          image: reference.toString(),
          order: order.descriptor.digest,
          error: String(error),
        });
      }
      return null;
    }
  }

  #expect(layer: OpenLayer): void {
    const digest = layer.layerDigest as Digest;
    const ranges = this.#ranges.get(digest) ?? [];
    if (!this.usesPacks || ranges.length === 0) return;
    let bytes = 0;
    for (const { length } of ranges) bytes += length;
    if (!this.#parts.store.packs.hasRoom(bytes)) return;
    layer.pack.expect(ranges, () => this.#received);
    for (const range of this.#held.take(digest)) accept(layer, range);
  }

  #run(): void {
    const order = this.#order;
    if (order === null || this.#parts.signal.aborted) return;
    if (this.usesPacks) {
      this.#streaming ??= this.#stream(order).finally(() => {
        this.#streaming = null;
        if (this.#isAwaited()) this.#run(); // a layer was opened at the very end
      });
    }
    this.#hinting ??= this.#hints(order).finally(() => this.#hinting = null);
  }

  #isAwaited(): boolean {
    return this.usesPacks && this.layers.some(({ pack }) => pack.isAwaited);
  }

  async #stream(order: LoadOrder): Promise<void> {
    const { image, signal } = this.#parts;
    try {
      // The first time also for layers that are about to be opened.
      if (!this.#hasStreamed) await this.#pass(order, "all");
      while (this.#isAwaited()) await this.#pass(order, "open");
    } catch (error) {
      for (const { pack } of this.layers) pack.end();
      if (signal.aborted || this.#end.signal.aborted) return;
      log.warn("a start pack was given up, spans are fetched instead", {
        image: image.reference.toString(),
        order: this.digest,
        error: String(error),
      });
    }
  }

  /** Streams the frames that hold anything for a layer that is open, or (`all`) will be. */
  async #pass(order: LoadOrder, layers: "all" | "open"): Promise<void> {
    const { client, image, store, signal, maxBytes } = this.#parts;
    this.#hasStreamed = true;
    const ends = new Map<PackFrame, number>();
    let position = 0;
    for (const frame of framesWithin(order, maxBytes)) {
      position += frame.compressedLength;
      if (this.#isOfUse(order, frame, layers)) ends.set(frame, position);
    }
    if (ends.size === 0) {
      for (const { pack } of this.layers) pack.end();
      return;
    }
    this.#received = 0;
    await streamFrames(ends.keys(), {
      client,
      repository: image.reference,
      order,
      signal: AbortSignal.any([signal, this.#end.signal]),
      readersWait: () => store.packs.readersWait(image.reference.host),
      onRanges: (frame, ranges) => {
        this.#received = Math.max(this.#received, ends.get(frame) ?? 0);
        const kept = ranges.filter((range) => !this.#take(range));
        return kept.length === 0 ? "used" : "kept";
      },
    });
  }

  #isOfUse(
    order: LoadOrder,
    frame: PackFrame,
    layers: "all" | "open",
  ): boolean {
    const { firstRange, rangeCount } = frame;
    return order.ranges.slice(firstRange, firstRange + rangeCount)
      .some(({ layer, offset, length }) => {
        const digest = order.layers[layer]!;
        const open = this.#layers.get(digest);
        return open === undefined
          ? layers === "all" && this.#awaited.has(digest)
          : open.pack.awaits(offset, length);
      });
  }

  /** @returns false when its bytes are kept for a layer that is not open yet. */
  #take(range: UnpackedRange): boolean {
    const layer = this.#layers.get(range.layer);
    if (layer !== undefined) accept(layer, range);
    else if (this.#awaited.has(range.layer)) return !this.#held.add(range);
    return true;
  }

  async #hints(order: LoadOrder): Promise<void> {
    try {
      await this.#hint(order);
    } catch (error) {
      if (this.#parts.signal.aborted || this.#end.signal.aborted) return;
      log.warn("what a load order names is not fetched ahead any more", {
        order: this.digest,
        error: String(error),
      });
    }
  }

  /** Has the spans of ranges fetched that come by no pack, in the plan's order, as their layers are opened. */
  async #hint(order: LoadOrder): Promise<void> {
    const { store, signal, maxBytes } = this.#parts;
    const frames = this.usesPacks ? framesWithin(order, maxBytes) : [];
    const last = frames.at(-1);
    const first = last === undefined ? 0 : last.firstRange + last.rangeCount;
    const cursor = new PlanCursor(order.layers, order.ranges.slice(first));
    await store.ahead.fetch(this.#asTheyOpen(cursor), {
      signal: AbortSignal.any([signal, this.#end.signal]),
      maxBytes,
      onFetched: (bytes) => this.#hintedBytes += bytes,
    });
  }

  async *#asTheyOpen(cursor: PlanCursor): AsyncGenerator<LayerRange> {
    const endMs = performance.now() + OPEN_MS;
    for (;;) {
      const next = cursor.next((digest) => this.#layerNow(digest));
      if (next === "none") return;
      if (next !== "later") yield next;
      else if (performance.now() > endMs) return;
      else {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        this.#parts.signal.throwIfAborted();
      }
    }
  }

  #layerNow(digest: Digest): LayerNow<OpenLayer> {
    const open = this.#layers.get(digest);
    if (open?.isServed) return open;
    return open === undefined && this.#awaited.has(digest) ? "awaited" : "gone";
  }

  /** A span of one layer showed that the pack lied: nothing of it is used by any layer of the image. */
  #lied(layer: OpenLayer): void {
    const reason = layer.pack.lied.reason as Error;
    this.#end.abort(reason);
    for (const other of this.layers) {
      if (other !== layer) other.pack.withdraw(reason);
    }
  }
}

function accept(layer: OpenLayer, { offset, bytes }: UnpackedRange): void {
  layer.pack.accept(offset, bytes as Uint8Array<ArrayBuffer>);
}

/** The first frames of at most so many compressed bytes. */
function framesWithin(order: LoadOrder, maxBytes: number): PackFrame[] {
  let bytes = 0;
  const end = order.frames.findIndex(({ compressedLength }) =>
    (bytes += compressedLength) > maxBytes
  );
  return end < 0 ? [...order.frames] : order.frames.slice(0, end);
}

/** The ranges of the first frames, by layer. */
function rangesOf(
  order: LoadOrder,
  maxBytes: number,
): ReadonlyMap<Digest, readonly PackedRange[]> {
  const found = new Map<Digest, PackedRange[]>();
  let packEnd = 0;
  for (const frame of framesWithin(order, maxBytes)) {
    packEnd += frame.compressedLength;
    const { firstRange, rangeCount } = frame;
    for (let at = firstRange; at < firstRange + rangeCount; at++) {
      const { layer, offset, length } = order.ranges[at]!;
      found.getOrInsertComputed(order.layers[layer]!, () => [])
        .push({ offset, length, packEnd });
    }
  }
  return found;
}

/** The manifest's packs are the plan's, so that the manifest's digest says which bytes may be used. */
function assertPacks(
  { packs }: LoadOrder,
  listed: readonly { readonly digest: Digest }[],
): void {
  const isSame = packs.length === listed.length &&
    packs.every(({ digest }, at) => listed[at]!.digest === digest);
  if (!isSame) throw new Error("the plan names other packs than its manifest");
}
