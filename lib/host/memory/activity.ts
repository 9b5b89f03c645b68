/** Whether there is work, for what is done while there is none. */
export class Activity {
  #begun = 0;
  #running = 0;

  /** Work begins, and lasts until this is disposed of. */
  begin(): Disposable {
    this.#begun++;
    this.#running++;
    return { [Symbol.dispose]: () => void this.#running-- };
  }

  /** Work is about to begin. */
  note(): void {
    this.begin()[Symbol.dispose]();
  }

  /** Grows with work; NaN while there is some, which is like no other count. */
  get count(): number {
    return this.#running > 0 ? NaN : this.#begun;
  }
}
