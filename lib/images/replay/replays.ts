import type { Digest } from "../../formats/oci/mod.ts";
import type { LoadOrder } from "../../formats/order/mod.ts";
import {
  type LayerStore,
  NO_PACK,
  type OpenLayer,
} from "../../layers/serving/mod.ts";
import {
  type ImageLayer,
  type IndexedImage,
  ztocOf,
} from "../../remote/image/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { chooseOrder, workloadOf, type WorkloadWish } from "./choose.ts";
import type { ReplayClient } from "./pack_stream.ts";
import { figuresOf, type OrderFigures } from "./figures.ts";
import { Replay } from "./replay.ts";
import { WasteWatch } from "./waste.ts";

const log = logger("images");

/** How load orders are used. */
export interface ReplayOptions {
  /** Whether they are used at all. */
  readonly enable: boolean;
  /** Whether packs are used that the image's digest does not cover. */
  readonly unpinned: boolean;
  /** The most compressed bytes that one image's start may bring ahead. */
  readonly maxBytes: number;
  /** An order is not used again where a larger part of what it brought than this was not read. From 0 to 1. */
  readonly maxWaste: number;
  /** How often it is looked whether what came is read, ms. Default: 15 s. */
  readonly lookMs?: number;
  /** Patterns of host and repository, and the workload of images that fit; the first that fits counts. */
  readonly workloads: WorkloadWish["workloads"];
  /** What this node has learned of a repository and workload. Default: nothing. */
  readonly learned?: LearnedOrders;
}

/** Tells in which order a start read that was recorded here; null where none was. Never rejects. */
export type LearnedOrders = (
  repository: Repository,
  workload: string,
) => Promise<LoadOrder | null>;

/** Load orders are left alone. */
export const NO_REPLAY: ReplayOptions = {
  ...{ enable: false, unpinned: false, maxBytes: 0, maxWaste: 1 },
  workloads: [],
};

/** A layer of an image as the replays see it. */
export type ReplayedLayer = Pick<ImageLayer, "descriptor">;

/** The most images with a replay; the oldest is forgotten. */
const MAX_REPLAYS = 256;

/** The replays of all images. */
export class Replays implements Disposable {
  readonly #client: ReplayClient;
  readonly #store: LayerStore;
  readonly #options: ReplayOptions;
  readonly #stop = new AbortController();
  readonly #waste: WasteWatch;
  readonly #fits: WorkloadWish["fits"];
  /** Null: the image has no load order that may be used. */
  readonly #replays = new Map<IndexedImage, Replay | null>();
  /** Under which packs the layers of an image are opened: that must not change while they are. */
  readonly #packs = new WeakMap<IndexedImage, Map<Digest, string>>();

  /** Replays nothing yet. @param fits whether a repository fits a pattern of `workloads`. */
  constructor(
    client: ReplayClient,
    store: LayerStore,
    options: ReplayOptions,
    fits: WorkloadWish["fits"],
  ) {
    this.#fits = fits;
    this.#client = client;
    this.#store = store;
    this.#options = options;
    this.#waste = new WasteWatch(options.maxWaste, options.lookMs);
  }

  /**
   * Layers of an image will be opened. The first call decides which load order is replayed.
   * @param labels of the first Prepare.
   */
  begin(image: IndexedImage, labels: Readonly<Record<string, string>>): void {
    if (!this.#options.enable) return;
    const known = this.#replays.get(image);
    if (known !== undefined && !this.#isOverdone(known)) return;
    const replay = this.#choose(image, labels);
    this.#packs.delete(image);
    this.#replays.set(image, replay);
    const oldest = this.#replays.keys().next();
    if (this.#replays.size > MAX_REPLAYS && !oldest.done) {
      this.#replays.delete(oldest.value);
    }
  }

  /** Whether an image that is prepared anew is better off without what brought too much when it ran before. */
  #isOverdone(replay: Replay | null): boolean {
    return replay !== null && replay.layers.length === 0 &&
      this.#waste.isWasteful(replay);
  }

  #choose(
    image: IndexedImage,
    labels: Readonly<Record<string, string>>,
  ): Replay | null {
    const { unpinned, maxBytes, workloads } = this.#options;
    const wish = {
      ...{ labels, workloads, fits: this.#fits },
      imageWorkload: image.workload,
      repository: image.reference,
    };
    const order = chooseOrder(
      image.orders,
      wish,
      ({ descriptor: { digest } }) =>
        !this.#waste.isWasteful({ image: image.reference.toString(), digest }),
    );
    if (order === null) return this.#learned(image, workloadOf(wish));
    const lie = this.#store.packs.condemned(
      order.descriptor.digest,
      image.layers.map(({ descriptor: { digest } }) => ({
        layerDigest: digest,
        ztocDigest: ztocOf(image, digest)?.digest ?? "",
      })),
    );
    if (lie !== null) {
      log.error("the image's start pack has lied, only its order is used", {
        image: image.reference.toString(),
        order: order.descriptor.digest,
        lie,
      });
    }
    const isTrusted = order.isPinned || unpinned;
    log.debug("load order is replayed", {
      image: image.reference.toString(),
      order: order.descriptor.digest,
      workload: order.workload,
      packs: isTrusted && lie === null,
    });
    const replay = new Replay({
      ...{ client: this.#client, store: this.#store, image, order, maxBytes },
      packs: isTrusted && lie === null ? "used" : "not used",
      signal: this.#stop.signal,
    });
    this.#waste.watch(replay);
    return replay;
  }

  /** Of another tag of the repository, or of this one: what it recorded of layers that the image has. */
  #learned(image: IndexedImage, workload: string): Replay | null {
    const { learned, maxBytes } = this.#options;
    const { reference, descriptor: { digest } } = image;
    const own = { image: reference.toString(), digest };
    if (learned === undefined || this.#waste.isWasteful(own)) return null;
    const plan = learned(reference, workload);
    plan.then((order) => {
      // Mostly there is nothing, and nothing is to be kept for it.
      if (order === null && this.#replays.has(image)) {
        this.#replays.set(image, null);
      }
    });
    const replay = new Replay({
      ...{ client: this.#client, store: this.#store, image, maxBytes },
      order: {
        descriptor: image.descriptor,
        ...{ workload, platform: "", isPinned: false },
      },
      learned: plan,
      packs: "not used",
      signal: this.#stop.signal,
    });
    this.#waste.watch(replay);
    return replay;
  }

  /** `NO_PACK`, or the digest that a layer of the image is to be claimed with. */
  packOf(image: IndexedImage, { descriptor }: ReplayedLayer): string {
    const replay = this.#replays.get(image);
    if (!replay?.usesPacks) return NO_PACK;
    const { digest } = descriptor;
    const ztoc = ztocOf(image, digest);
    if (ztoc === null) return NO_PACK;
    const known = this.#packs.getOrInsertComputed(image, () => new Map());
    return known.getOrInsertComputed(digest, () => {
      const identity = { layerDigest: digest, ztocDigest: ztoc.digest };
      return this.#store.packs.isWhole(identity) ? NO_PACK : replay.digest;
    });
  }

  /**
   * Whether a layer may be opened before its ztoc is here, by the head alone: where the image's digest covers
   * its companion, and nobody but images with its pack get the layer.
   */
  mayMountAhead(image: IndexedImage, layer: ReplayedLayer): boolean {
    return this.#replays.get(image)?.isPinned === true &&
      image.index?.via === "annotation" &&
      this.packOf(image, layer) !== NO_PACK;
  }

  /** Resolves when the image's pack has come, or will not. */
  over(image: IndexedImage): Promise<void> {
    return this.#replays.get(image)?.settled() ?? Promise.resolve();
  }

  /** A layer of the image is open. */
  opened(image: IndexedImage, layer: OpenLayer): void {
    this.#replays.get(image)?.opened(layer);
  }

  /** A layer of the image cannot be opened. */
  lost(image: IndexedImage, { descriptor }: ReplayedLayer): void {
    this.#replays.get(image)?.lost(descriptor.digest);
  }

  /** What each of them brought so far, the oldest first. */
  figures(): OrderFigures[] {
    return [...this.#replays.values()].filter((replay) => replay !== null)
      .filter(({ isKnown, isLearned }) => isKnown || !isLearned)
      .map(figuresOf);
  }

  /** Ends all of them. Layers stay as they are. */
  [Symbol.dispose](): void {
    this.#stop.abort(new Error("the daemon is stopping"));
    this.#waste[Symbol.dispose]();
  }
}
