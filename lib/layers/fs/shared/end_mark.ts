/**
 * A word that tells the Workers to end once they have answered the request they are at. Set once.
 */
export class EndMark {
  readonly #word: Int32Array;

  /** One isolate's view of it. @param memory made by `EndMark.allocate`. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#word = new Int32Array(memory);
  }

  /** Memory for one. */
  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(4);
  }

  /** Tells them. */
  set(): void {
    Atomics.store(this.#word, 0, 1);
  }

  /** Whether they were told. */
  get isSet(): boolean {
    return Atomics.load(this.#word, 0) !== 0;
  }
}
