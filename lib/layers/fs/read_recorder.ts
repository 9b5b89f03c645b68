import { ReadTrace, type SlotTable, type TracedRead } from "./shared/mod.ts";

/** How often reads are taken out of the shared memory while something is recorded, ms. */
const DRAIN_MS = 100;

/** Layers whose reads are recorded, from its making to its disposal. */
export interface ReadRecording extends Disposable {
  /** Reads so far, nearly in order of their beginning: one that waited is added when it ends. */
  reads(): readonly TracedRead[];
  /** Reads that were made and are not in the list. */
  readonly lost: number;
}

/** How reads are recorded. */
export interface RecordOptions {
  /**
   * `exact`: the kernel reads nothing ahead in files of these layers that are opened from now on; on the
   * FUSE tree, in files of all layers.
   */
  readonly pages: "exact" | "with read-ahead";
  /** The most reads that are kept; later ones are counted as lost. */
  readonly maxReads: number;
}

/** What belongs to one recording. */
interface Running extends RecordOptions {
  readonly slots: ReadonlySet<number>;
  readonly reads: TracedRead[];
  lost: number;
}

/** What a recorder needs of the file system. */
export interface RecorderOwner {
  /** Called when other layers are to be read without the kernel's read-ahead. */
  readonly readExactly: (slots: ReadonlySet<number>) => void;
  /** Bytes of a layer's data file; 0 when it is not served. */
  readonly dataBytes: (slot: number) => number;
}

/** Gives the reads that Workers traced to the recordings they belong to. */
export class ReadRecorder {
  readonly #trace: ReadTrace;
  readonly #table: SlotTable;
  readonly #owner: RecorderOwner;
  readonly #running = new Set<Running>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #lostSeen = 0;

  /**
   * Records nothing yet.
   * @param shared with the Workers.
   */
  constructor(
    shared: { readonly trace: ReadTrace; readonly slots: SlotTable },
    owner: RecorderOwner,
  ) {
    this.#trace = shared.trace;
    this.#table = shared.slots;
    this.#owner = owner;
  }

  /**
   * Begins a recording.
   * @param slots of layers that are served; others are passed over.
   */
  begin(slots: ReadonlySet<number>, options: RecordOptions): ReadRecording {
    this.#drain(); // what is there belongs to the others
    const running: Running = { ...options, slots, reads: [], lost: 0 };
    this.#running.add(running);
    if (running.pages === "exact") this.#tellExact();
    this.#mark(slots);
    this.#timer ??= setInterval(() => this.#drain(), DRAIN_MS);
    const drain = () => this.#drain();
    return {
      reads: () => {
        drain();
        return running.reads;
      },
      get lost() {
        return running.lost;
      },
      [Symbol.dispose]: () => this.#end(running),
    };
  }

  /** A read of a layer waited for its bytes; at a blob's end it is longer than they are. */
  readonly waited = (
    slot: number,
    offset: number,
    length: number,
    atMs: number,
  ): void => {
    if (this.#running.size === 0) return;
    const row = this.#table.find(slot);
    if (row < 0 || this.#trace.marks[row] !== 1) return;
    const held = Math.min(length, this.#owner.dataBytes(slot) - offset);
    if (held <= 0) return;
    this.#trace.add(slot, offset, held, atMs, ReadTrace.now() - atMs);
  };

  /** A layer is about to be removed: its row may become another's. */
  forget(slot: number): void {
    const row = this.#table.find(slot);
    if (row >= 0) this.#trace.marks[row] = 0;
  }

  /** Ends all recordings. */
  [Symbol.dispose](): void {
    for (const running of [...this.#running]) this.#end(running);
  }

  #end(running: Running): void {
    if (!this.#running.has(running)) return;
    this.#drain();
    this.#running.delete(running);
    for (const slot of running.slots) this.forget(slot);
    for (const { slots } of this.#running) this.#mark(slots);
    if (running.pages === "exact") this.#tellExact();
    if (this.#running.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tellExact(): void {
    const slots = [...this.#running].filter(({ pages }) => pages === "exact")
      .flatMap((running) => [...running.slots]);
    this.#owner.readExactly(new Set(slots));
  }

  #mark(slots: ReadonlySet<number>): void {
    for (const slot of slots) {
      const row = this.#table.find(slot);
      if (row >= 0) this.#trace.marks[row] = 1;
    }
  }

  #drain(): void {
    for (let read = this.#trace.take(); read; read = this.#trace.take()) {
      for (const running of this.#running) {
        if (!running.slots.has(read.slot)) continue;
        if (running.reads.length < running.maxReads) running.reads.push(read);
        else running.lost++;
      }
    }
    const { lost } = this.#trace;
    for (const running of this.#running) running.lost += lost - this.#lostSeen;
    this.#lostSeen = lost;
  }
}
