/** What the daemon does when a container's snapshot was prepared: its process will start soon. @module */
import type { ConnectionChecks, UsedLayer } from "../lib/images/lazy/mod.ts";
import type { Labels } from "../lib/images/snapshotter/mod.ts";
import type { LayerStore, OpenLayer } from "../lib/layers/serving/mod.ts";
import { CRI_LABELS } from "../lib/remote/image/mod.ts";
import { logger } from "../lib/telemetry/mod.ts";

const log = logger("images");
/** Snapshots below one that are looked at. */
const MAX_LAYERS = 500;
/** Starts that wait for their figures at a time. */
const MAX_WAITING = 256;
/** A start itself has the first moments for itself, ms. */
const LATER_MS = 200;

/** A snapshot, as far as it matters here. */
interface Prepared {
  readonly parent: string;
  readonly labels: Labels;
}

/** Follows starts of containers. */
export class ContainerStarts implements Disposable {
  readonly #store: Pick<LayerStore, "all">;
  readonly #checks: ConnectionChecks;
  readonly #figuresMs: number;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  /** @param figuresMs so long after a start it is told what of its image was read; the others stay the caller's. */
  constructor(
    store: Pick<LayerStore, "all">,
    checks: ConnectionChecks,
    figuresMs: number,
  ) {
    this.#store = store;
    this.#checks = checks;
    this.#figuresMs = figuresMs;
  }

  /**
   * A snapshot was prepared: nothing of this delays it.
   * @param stat tells about a snapshot below it.
   */
  prepared({ parent }: Prepared, stat: (key: string) => Prepared): void {
    if (parent === "") return;
    this.#later(LATER_MS, () => {
      const layers = layersOf(parent, stat);
      if (layers.length === 0) return;
      this.#checks.used(layers);
      this.#later(this.#figuresMs, () => this.#tell(layers));
    });
  }

  #later(waitMs: number, work: () => void): void {
    if (this.#timers.size >= MAX_WAITING) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      try {
        work();
      } catch (error) {
        // Such as a snapshot that was removed meanwhile.
        log.debug("a start is not followed", { error: String(error) });
      }
    }, waitMs);
    Deno.unrefTimer(timer);
    this.#timers.add(timer);
  }

  #tell(used: readonly UsedLayer[]): void {
    const digests = new Set(used.map(({ layerDigest }) => layerDigest));
    const layers = this.#store.all()
      .filter(({ layerDigest, isServed }) =>
        isServed && digests.has(layerDigest)
      );
    const sum = (of: (layer: OpenLayer) => number) =>
      layers.reduce((all, layer) => all + of(layer), 0);
    log.info("what was read of an image", {
      image: used[0]?.imageRef,
      after_sec: this.#figuresMs / 1000,
      layers: layers.length,
      spans: sum(({ spans }) => spans.count),
      spans_here: sum(({ map }) => map.presentCount),
      spans_read: sum(({ uses }) => countSet(uses)),
    });
  }

  /** Tells no more. */
  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

function countSet(marks: Uint8Array): number {
  let count = 0;
  for (const mark of marks) if (mark !== 0) count++;
  return count;
}

/** The lazily served layers of a chain, the uppermost first. */
function layersOf(
  parent: string,
  stat: (key: string) => Prepared,
): readonly UsedLayer[] {
  const layers: UsedLayer[] = [];
  for (let at = parent; at !== "" && layers.length < MAX_LAYERS;) {
    const { parent: below, labels } = stat(at);
    const imageRef = labels[CRI_LABELS.imageRef];
    const layerDigest = labels[CRI_LABELS.layerDigest];
    if (imageRef !== undefined && layerDigest !== undefined) {
      layers.push({ imageRef, layerDigest });
    }
    at = below;
  }
  return layers;
}
