/** What `pull` tells of bytes on their way, while there is a terminal. @module */
import type { Descriptor } from "../lib/formats/oci/mod.ts";
import { askProgress } from "../lib/host/control/mod.ts";
import { Progress, type ProgressTask } from "./progress.ts";

/** How often the daemon is asked, ms. */
const ASK_MS = 250;

interface Layer {
  readonly size: number;
  readonly task: ProgressTask;
  bytes: number;
  done: boolean;
}

/** A line for each layer that is downloaded, by this process or by the daemon, and one for all. */
export class PullProgress implements Disposable {
  readonly #progress: Progress;
  readonly #control: string | null;
  readonly #layers = new Map<string, Layer>();
  readonly #sizes = new Map<string, number>();
  #all: ProgressTask | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #asking = false;

  /** Tells nothing yet. @param control the daemon's socket; null: it is not asked. @param enabled default: whether stderr is a terminal. */
  constructor(
    control: string | null,
    enabled: boolean = Deno.stderr.isTerminal(),
  ) {
    this.#control = control;
    this.#progress = new Progress({ enabled });
    if (!enabled || control === null) return;
    this.#timer = setInterval(() => this.#ask(), ASK_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** The image has these layers. */
  layers(all: Iterable<Pick<Descriptor, "digest" | "size">>): void {
    for (const { digest, size } of all) this.#sizes.set(digest, size);
  }

  /** Bytes of a layer came. */
  came(
    { digest, size }: { readonly digest: string; readonly size: number },
    bytes: number,
  ): void {
    const layer = this.#of(digest, size);
    if (layer.done) return;
    const more = Math.max(0, Math.min(bytes, layer.size - layer.bytes));
    layer.bytes += more;
    layer.task.advance(more);
    this.#all?.advance(more);
  }

  /** A layer is there. */
  done(digest: string): void {
    const layer = this.#layers.get(digest);
    if (layer === undefined || layer.done) return;
    this.came({ digest, size: layer.size }, layer.size);
    layer.done = true;
    layer.task.finish();
    if ([...this.#layers.values()].every(({ done }) => done)) {
      this.#all?.finish();
    }
  }

  #of(digest: string, size: number): Layer {
    const known = this.#layers.get(digest);
    if (known !== undefined) return known;
    this.#all ??= this.#progress.task("all".padEnd(12), 0);
    this.#all.grow(size);
    const task = this.#progress.task(digest.slice(7, 19), size);
    const layer = { size, task, bytes: 0, done: false };
    this.#layers.set(digest, layer);
    return layer;
  }

  async #ask(): Promise<void> {
    if (this.#asking || this.#control === null) return;
    this.#asking = true;
    const found = await askProgress(this.#control);
    this.#asking = false;
    for (const { digest, bytes } of found) {
      const size = this.#sizes.get(digest);
      if (size === undefined) continue; // another image's
      const before = this.#layers.get(digest)?.bytes ?? 0;
      this.came({ digest, size }, bytes - before);
    }
  }

  /** Prints lines of the result. */
  print(text: string): void {
    this.#progress.print(text);
  }

  /** Takes the progress away. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#progress[Symbol.dispose]();
  }
}
