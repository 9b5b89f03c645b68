import { LIBC_PATH } from "../os/mod.ts";
import type { InflateResult, InflateTask } from "./inflate_messages.ts";

interface Member {
  readonly worker: Worker;
  readonly tasks: Map<number, PromiseWithResolvers<InflateResult["failure"]>>;
}

/** Workers that check, inflate and write spans. */
export class InflatePool implements Disposable {
  readonly #members: Member[];
  #nextId = 1;

  /** @param size number of Workers; the machine's cores, at most four, when not given. */
  constructor(size = Math.min(4, navigator.hardwareConcurrency)) {
    this.#members = Array.from({ length: size }, () => this.#startMember());
  }

  #startMember(): Member {
    const worker = new Worker(new URL("./inflate_worker.ts", import.meta.url), {
      type: "module",
      deno: { permissions: { ffi: [LIBC_PATH] } },
    });
    const member: Member = { worker, tasks: new Map() };
    worker.onmessage = ({ data }: MessageEvent<InflateResult>) => {
      member.tasks.get(data.id)?.resolve(data.failure);
      member.tasks.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      // The Worker is gone: its spans fail (and are asked for again), another takes its place.
      for (const task of member.tasks.values()) {
        task.resolve({ kind: "inflate", detail: `Worker: ${event.message}` });
      }
      const at = this.#members.indexOf(member);
      if (at >= 0) this.#members[at] = this.#startMember();
    };
    return member;
  }

  /** Runs one task on the least busy Worker; `compressed` is given up. */
  run(task: Omit<InflateTask, "id">): Promise<InflateResult["failure"]> {
    const member = this.#members.reduce((least, candidate) =>
      candidate.tasks.size < least.tasks.size ? candidate : least
    );
    const id = this.#nextId++;
    const finished = Promise.withResolvers<InflateResult["failure"]>();
    member.tasks.set(id, finished);
    member.worker.postMessage(
      { ...task, id } satisfies InflateTask,
      [task.compressed.buffer],
    );
    return finished.promise;
  }

  /** Stops the Workers. */
  [Symbol.dispose](): void {
    for (const { worker } of this.#members) worker.terminate();
  }
}
