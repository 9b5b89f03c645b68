/** Who waits: a reader now; a recorded load order; nobody yet. */
export type SpanClass = "demand" | "prefetch" | "background";

const CLASSES: readonly SpanClass[] = ["demand", "prefetch", "background"];

interface Job {
  class: SpanClass;
  readonly run: () => Promise<void>;
}

/** How many jobs of each class may run side by side. */
export type SpanConcurrency = Readonly<Record<SpanClass, number>>;

const DEFAULT_CONCURRENCY: SpanConcurrency = {
  demand: 16,
  prefetch: 6,
  background: 2,
};

/**
 * Runs jobs of all layers in class order. A lower class starts only while no higher one waits or
 * runs, so the background uses what demand leaves.
 */
export class SpanScheduler {
  readonly #concurrency: SpanConcurrency;
  readonly #queues: Record<SpanClass, Job[]> = {
    demand: [],
    prefetch: [],
    background: [],
  };
  readonly #running: Record<SpanClass, number> = {
    demand: 0,
    prefetch: 0,
    background: 0,
  };

  constructor(concurrency: SpanConcurrency = DEFAULT_CONCURRENCY) {
    this.#concurrency = concurrency;
  }

  /**
   * Queues a job. The returned function raises it to a higher class if it has not started.
   * `run` must not reject.
   */
  add(cls: SpanClass, run: () => Promise<void>): (cls: SpanClass) => void {
    const job: Job = { class: cls, run };
    this.#queues[cls].push(job);
    this.#start();
    return (higher) => {
      const queue = this.#queues[job.class];
      const at = queue.indexOf(job);
      if (at < 0 || CLASSES.indexOf(higher) >= CLASSES.indexOf(job.class)) {
        return;
      }
      queue.splice(at, 1);
      job.class = higher;
      this.#queues[higher].push(job);
      this.#start();
    };
  }

  #start(): void {
    for (const cls of CLASSES) {
      while (
        this.#queues[cls].length > 0 &&
        this.#running[cls] < this.#concurrency[cls]
      ) {
        const job = this.#queues[cls].shift() as Job;
        this.#running[cls]++;
        job.run().finally(() => {
          this.#running[cls]--;
          this.#start();
        });
      }
      if (this.#running[cls] > 0) return; // lower classes wait
    }
  }
}
