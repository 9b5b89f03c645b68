import { CoalescedTask } from "./coalesced_task.ts";

/**
 * Work that costs little more for many than for one, such as syncs: a disk writes its journal once for all that wait.
 * It is done in rounds, one after another. What is asked for during a round is done side by side in the next one.
 *
 * @example
 * ```ts
 * import { SharedRounds } from "./shared_rounds.ts";
 * const rounds = new SharedRounds();
 * const done: number[] = [];
 * const work = (n: number) => rounds.run(() => Promise.resolve(void done.push(n)));
 * await Promise.all([work(1), work(2), work(3)]);
 * if (done.length !== 3) throw new Error(`${done}`);
 * ```
 */
export class SharedRounds {
  #waiting: (() => Promise<void>)[] = [];
  readonly #round = new CoalescedTask(async () => {
    const all = this.#waiting;
    this.#waiting = [];
    await Promise.all(all.map((one) => one()));
  });

  /** Does a piece of work in the next round. Rejects if that piece does; the others of its round hear nothing. */
  run(work: () => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(() => Promise.try(work).then(resolve, reject));
    this.#round.run();
    return promise;
  }
}
