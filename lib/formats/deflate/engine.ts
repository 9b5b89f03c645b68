import { kernelModule } from "./kernel_module.ts";

/** What `run` says. Negative values are `FAULTS`. */
export const STATUS = {
  NEED_INPUT: 0,
  OUT_FULL: 1,
  BLOCK_END: 2,
  STREAM_END: 3,
} as const;

const FAULTS: Readonly<Record<number, string>> = {
  [-1]: "unknown block type",
  [-2]: "stored block with a wrong length",
  [-3]: "too many codes",
  [-4]: "code lengths are no code",
  [-5]: "no such code",
  [-6]: "distance reaches before the beginning",
};

/** What is wrong, in words. */
export function faultText(status: number): string {
  return FAULTS[status] ?? `fault ${status}`;
}

/** History kept before the output, and the size of a checkpoint's window. */
export const WINDOW_BYTES = 32768;

interface Exports {
  readonly memory: WebAssembly.Memory;
  run(): number;
  start(primedBits: number, primed: number, keepHistory: number): void;
  inBase(): number;
  inCapacity(): number;
  outBase(): number;
  getIn(): number;
  setIn(at: number, end: number): void;
  getBits(): number;
  getOut(): number;
  resetOut(): void;
  slide(): void;
}

/** One instance of the kernel with its memory. Addresses are bytes in that memory. */
export class Engine {
  readonly #kernel: Exports;
  /** The kernel's whole memory; it never grows, so views stay valid. */
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly inBase: number;
  readonly inCapacity: number;
  /** Where output begins after a `slide` or `reset`; history lies before. */
  readonly outStart: number;
  /** Address of the next unread input byte. */
  inAt: number;
  /** Address after the last input byte. */
  inEnd: number;

  constructor() {
    const instance = new WebAssembly.Instance(kernelModule, {
      env: { abort: () => {} }, // never called: the kernel allocates nothing
    });
    this.#kernel = instance.exports as unknown as Exports;
    this.memory = new Uint8Array(
      this.#kernel.memory.buffer as ArrayBuffer,
    );
    this.inBase = this.#kernel.inBase();
    this.inCapacity = this.#kernel.inCapacity();
    this.outStart = this.#kernel.outBase() + WINDOW_BYTES;
    this.inAt = this.inEnd = this.inBase;
    this.#kernel.resetOut();
  }

  /** Drops input and output. */
  reset(): void {
    this.inAt = this.inEnd = this.inBase;
    this.#kernel.resetOut();
  }

  /**
   * Moves unread input to the front and adds as much of `chunk` from `from` on as fits.
   * @returns the bytes taken.
   */
  feed(chunk: Uint8Array, from: number): number {
    const unread = this.inEnd - this.inAt;
    if (this.inAt > this.inBase) {
      this.memory.copyWithin(this.inBase, this.inAt, this.inEnd);
    }
    this.inAt = this.inBase;
    const taken = Math.min(chunk.length - from, this.inCapacity - unread);
    this.memory.set(chunk.subarray(from, from + taken), this.inBase + unread);
    this.inEnd = this.inBase + unread + taken;
    return taken;
  }

  /** Unread input: a view. */
  unread(): Uint8Array<ArrayBuffer> {
    return this.memory.subarray(this.inAt, this.inEnd);
  }

  /** Begins a deflate stream at the next unread byte. */
  start(
    options: { primedBits: number; primed: number; keepHistory: boolean },
  ): void {
    const { primedBits, primed, keepHistory } = options;
    this.#kernel.start(primedBits, primed, keepHistory ? 1 : 0);
  }

  /** Decodes until there is something to do; see `STATUS`. */
  run(): number {
    this.#kernel.setIn(this.inAt, this.inEnd);
    const status = this.#kernel.run();
    this.inAt = this.#kernel.getIn();
    return status;
  }

  /** Unread high bits of the byte before `inAt`. */
  get bits(): number {
    return this.#kernel.getBits();
  }

  /** Address after the last output byte. */
  get outAt(): number {
    return this.#kernel.getOut();
  }

  /** Keeps the last 32 KiB as history and makes room behind it. */
  slide(): void {
    this.#kernel.slide();
  }
}
