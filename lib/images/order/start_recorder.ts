import {
  formatPlatform,
  hostPlatform,
  isDigest,
} from "../../formats/oci/mod.ts";
import { DEFAULT_WORKLOAD, isWorkload } from "../../formats/order/mod.ts";
import type { SpokenRead } from "../../host/handover/mod.ts";
import type { LayerStore } from "../../layers/serving/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import { recordingOf } from "./recording_of.ts";
import type { RecordingsFolder } from "./recordings_folder.ts";

const log = logger("order");
/** A snapshot's label that asks for a recording; its value names the workload, empty: the default one. */
const RECORD_LABEL = "containerd.io/snapshot/soci-deno.record";
/** How containerd's clients tell what a layer's snapshot is of. */
const IMAGE_LABEL = "containerd.io/snapshot/cri.image-ref";
const LAYER_LABEL = "containerd.io/snapshot/cri.layer-digest";
/** The most starts that are recorded at once, and the reads of one that are kept. */
const MAX_RUNNING = 8;
const MAX_READS = 16_384;
/** The most layers of an image that are looked up. */
const MAX_LAYERS = 2048;
/** How often it is looked whether a start is over, ms. */
const POLL_MS = 250;

/** What is known of a snapshot. */
export interface LabelledSnapshot {
  /** Below it; undefined at the bottom. */
  readonly parent?: string | undefined;
  /** All of them. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Which starts are recorded, and how. */
export interface StartRecorderOptions {
  /** Where recordings are kept. */
  readonly folder: RecordingsFolder;
  /** Whether starts of an image are recorded, by its name. */
  readonly wants: (image: string) => boolean;
  /** A start is over when it has read nothing for so long, ms. */
  readonly idleMs: number;
  /** The longest that one is recorded, ms. */
  readonly maxMs: number;
}

/**
 * Records real starts, as they are: with the kernel's read-ahead, and what is in its page cache is not seen.
 * Those of images that the configuration names, and those that a label asks for. Costs nothing where none is.
 */
export class StartRecorder implements Disposable {
  readonly #store: LayerStore;
  readonly #options: StartRecorderOptions;
  readonly #running = new Set<ReturnType<typeof setInterval>>();

  /** Records nothing yet. */
  constructor(store: LayerStore, options: StartRecorderOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * A container's snapshot was prepared: its process will start soon. Never throws: nobody's start fails
   * because it is not recorded.
   * @param stat tells about a snapshot below it.
   */
  prepared(
    snapshot: LabelledSnapshot,
    stat: (key: string) => LabelledSnapshot,
  ): void {
    try {
      this.#prepared(snapshot, stat);
    } catch (error) {
      log.warn("a start is not recorded", { error: String(error) });
    }
  }

  #prepared(
    { parent, labels }: LabelledSnapshot,
    stat: (key: string) => LabelledSnapshot,
  ): void {
    if (parent === undefined || parent === "") return;
    if (this.#running.size >= MAX_RUNNING) return;
    const top = stat(parent);
    const image = top.labels[IMAGE_LABEL] ?? "";
    const asked = labels[RECORD_LABEL] ?? top.labels[RECORD_LABEL];
    if (image === "" || (asked === undefined && !this.#options.wants(image))) {
      return;
    }
    const digests = new Set<string>();
    for (
      let at: LabelledSnapshot | null = top, depth = 0;
      at !== null && depth < MAX_LAYERS;
      depth++
    ) {
      digests.add(at.labels[LAYER_LABEL] ?? "");
      at = at.parent ? stat(at.parent) : null;
    }
    this.#record(image, isWorkload(asked) ? asked : DEFAULT_WORKLOAD, digests);
  }

  /** Ends all recordings; those that are not over are given up. */
  [Symbol.dispose](): void {
    for (const timer of this.#running) clearInterval(timer);
    this.#running.clear();
  }

  #record(image: string, workload: string, digests: Set<string>): void {
    const layers = this.#store.all()
      .filter(({ layerDigest }) => digests.has(layerDigest));
    if (layers.length === 0) return;
    const slots = new Map(
      layers.map(({ slot, layerDigest }) => [slot, layerDigest]),
    );
    const recording = this.#store.record(new Set(slots.keys()), {
      pages: "with read-ahead",
      maxReads: MAX_READS,
    });
    const now = () => performance.timeOrigin + performance.now();
    const startMs = now();
    const timer = setInterval(() => {
      const reads = recording.reads();
      const lastMs = reads.at(-1)?.atMs ?? Infinity;
      const { idleMs, maxMs } = this.#options;
      if (now() - lastMs < idleMs && now() - startMs < maxMs) return;
      if (lastMs === Infinity && now() - startMs < maxMs) return;
      clearInterval(timer);
      this.#running.delete(timer);
      recording[Symbol.dispose]();
      if (reads.length === 0) return; // the page cache had all of it
      this.#keep({ image, workload, startMs, slots, reads });
    }, POLL_MS);
    this.#running.add(timer);
  }

  #keep({ image, workload, startMs, slots, reads }: {
    readonly image: string;
    readonly workload: string;
    readonly startMs: number;
    readonly slots: ReadonlyMap<number, string>;
    readonly reads: ReturnType<ReturnType<LayerStore["record"]>["reads"]>;
  }): void {
    const began = performance.now();
    const layers = [...new Set(slots.values())].filter(isDigest);
    const numbers = new Map(
      [...slots].map(([slot, digest]) => [
        slot,
        layers.findIndex((one) => one === digest),
      ]),
    );
    const one = recordingOf({
      image,
      workload,
      platform: formatPlatform(hostPlatform()),
      layers,
      startMs,
      reads: reads.map((
        { slot, offset, length, atMs, waitedMs },
      ): SpokenRead => [numbers.get(slot)!, offset, length, atMs, waitedMs]),
    });
    try {
      const path = this.#options.folder.keep(one, startMs);
      log.info("a start was recorded", {
        image,
        workload,
        path,
        ranges: one.touches.length,
        bytes: one.touches.reduce((sum, { length }) => sum + length, 0),
        costMs: Math.round(performance.now() - began),
      });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      log.warn("a recorded start cannot be kept", {
        image,
        error: error.message,
      });
    }
  }
}
