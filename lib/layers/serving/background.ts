import { NotYetHere } from "../spans/mod.ts";
import { countEvent, logger } from "../../telemetry/mod.ts";
import type { OpenLayer } from "./open_layer.ts";

const log = logger("images");

/**
 * Layers of one host filled concurrently: the last requests of one overlap with the first of the next.
 */
const LAYERS_AT_ONCE = 2;
/** Backoff after a failure, ms; it doubles each time. */
const FIRST_RETRY_MS = 30_000;
const LAST_RETRY_MS = 15 * 60_000;

/** A layer that is to be completed soon is filled after this time, when no reader waits, ms. */
const SOON_MS = 2_000;

/** Delay before the next try if a source gives its bytes in order and has not reached ours yet, ms. */
const NOT_YET_MS = 1_000;

/** When and whether the rest of a layer is fetched. */
export interface BackgroundOptions {
  /** Whether spans that no reader wants are fetched. */
  readonly enabled: boolean;
  /** Delay between opening a layer and filling it, ms. */
  readonly delayMs: number;
  /** The most layers in the queue; -1: any number. */
  readonly maxQueue: number;
  /** Which layer is dropped when the queue is full. */
  readonly dropPolicy: "newest" | "oldest";
}

interface Waiting {
  readonly layer: OpenLayer;
  readonly failures: number;
}

/**
 * Fills layers one after another with spare bandwidth. Each host has its own queue, so a host that
 * hangs delays only its own layers.
 */
export class BackgroundFiller implements Disposable {
  readonly #options: BackgroundOptions;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #queue: Waiting[] = [];
  /** How many layers are being filled, by host. */
  readonly #filling = new Map<string, number>();
  #stopped = false;

  /** Fills nothing before `add`. */
  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  /** Layers that wait to be filled, also those whose delay is not over, and those that are being filled. */
  get figures(): { readonly waiting: number; readonly filling: number } {
    const filling = [...this.#filling.values()].reduce((a, b) => a + b, 0);
    return { waiting: this.#queue.length + this.#timers.size, filling };
  }

  /**
   * Queues an opened layer. Filling ends when the layer is closed.
   * @param when `soon`: as soon as no reader waits, also where nothing else is filled. Default: as the options say.
   */
  add(layer: OpenLayer, when: "soon" | "later" = "later"): void {
    if (when === "soon") return this.#later({ layer, failures: 0 }, SOON_MS);
    if (!this.#options.enabled) return;
    this.#later({ layer, failures: 0 }, this.#options.delayMs);
  }

  #later(waiting: Waiting, delayMs: number): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#enqueue(waiting);
    }, delayMs);
    this.#timers.add(timer);
  }

  #enqueue(waiting: Waiting): void {
    const { maxQueue, dropPolicy } = this.#options;
    this.#queue.push(waiting);
    if (maxQueue >= 0 && this.#queue.length > maxQueue) {
      const dropped = this.#drop(dropPolicy);
      countEvent("background", "dropped");
      log.warn("too many layers wait, one is not filled in the background", {
        layer: dropped?.layer.layerDigest,
        max_queue_size: maxQueue,
      });
    }
    this.#next();
  }

  /** Drops a layer from the queue, one of the host with the most queued layers. */
  #drop(policy: BackgroundOptions["dropPolicy"]): Waiting | undefined {
    const byHost = Map.groupBy(this.#queue, ({ layer }) => layer.host);
    const most = [...byHost.values()]
      .reduce((most, one) => one.length > most.length ? one : most);
    const dropped = policy === "newest" ? most.at(-1) : most[0];
    if (dropped !== undefined) {
      this.#queue.splice(this.#queue.indexOf(dropped), 1);
    }
    return dropped;
  }

  #next(): void {
    for (const waiting of [...this.#queue]) {
      if (this.#stopped) return;
      const { host } = waiting.layer;
      const filling = this.#filling.get(host) ?? 0;
      if (filling >= LAYERS_AT_ONCE) continue;
      this.#queue.splice(this.#queue.indexOf(waiting), 1);
      this.#filling.set(host, filling + 1);
      this.#fill(waiting).finally(() => this.#filled(host));
    }
  }

  #filled(host: string): void {
    const left = this.#filling.get(host)! - 1;
    if (left > 0) this.#filling.set(host, left);
    else this.#filling.delete(host);
    this.#next();
  }

  async #fill({ layer, failures }: Waiting): Promise<void> {
    try {
      await layer.fill();
    } catch (error) {
      // Released meanwhile: nothing is left to fill.
      if (this.#stopped || !layer.isServed) return;
      if (error instanceof NotYetHere) {
        return this.#later({ layer, failures }, NOT_YET_MS);
      }
      const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      countEvent("background", "failed");
      log.warn("background fetch stopped, to be tried again", {
        layer: layer.layerDigest,
        delayMs,
        error: String(error),
      });
      this.#later({ layer, failures: failures + 1 }, delayMs);
    }
  }

  /** Starts no more fills. A fill in progress ends with its layer. */
  [Symbol.dispose](): void {
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
