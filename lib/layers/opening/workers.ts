import { openThread, type Thread } from "../../host/threads/mod.ts";
import { TurnQueue } from "../spans/mod.ts";
import { LARGE_BYTES } from "./cost.ts";
import { OpeningError } from "./errors.ts";
import { errorOf } from "./failures.ts";
import {
  buffersToOpener,
  type Done,
  type FromOpener,
  type ToOpener,
} from "./messages.ts";
import { type Role, startOpener } from "./start.ts";

/** Workers are stopped after they were idle for so long, ms: each takes 15 MB and more, and 50 ms to start. */
const IDLE_MS = 500;
/** A job waits for so long until one more Worker is started for it, ms: that takes as long. */
const START_MS = 50;
/** A Worker that takes longer is stopped: no honest ztoc within the bounds takes a tenth of it, ms. */
const DEADLINE_MS = 120_000;
const ENDED = "layers are no longer opened";

const ROLES = {
  layer: "layers",
  rest: "layers",
  chain: "chains",
  write: "chains",
} as const satisfies Record<ToOpener["kind"], Role>;

/** How Workers are started, and what they may take. */
export interface WorkersOptions {
  /** Folder of all that Workers read and write: they may nowhere else. */
  readonly root: string;
  /** The most memory that all jobs at a time may take together, bytes. */
  readonly maxBytes: number;
  /** The most Workers. Default: two, or as many as there are cores, up to four. */
  readonly size?: number;
  /** How long Workers without work stay, ms; half a second when not given. */
  readonly idleMs?: number;
}

/** What waits for a Worker, or is in one. */
interface Job {
  readonly message: ToOpener;
  readonly costBytes: number;
  readonly done: PromiseWithResolvers<Done>;
}

interface Member {
  /** Null while it is not started. */
  worker: Thread<ToOpener> | null;
  /** What it was started for. */
  role: Role;
  job: Job | null;
  deadline: ReturnType<typeof setTimeout> | undefined;
}

/**
 * A few Workers, each of which does one job at a time. They start when they are first needed, one after
 * the other, and stop when they have been idle. None is stopped between two jobs, however large they
 * are: to start one takes a tenth of a second of a core, and holds the thread that does so for some 20 ms.
 * A Worker that rests returns by itself what it took. One that opens layers has less than one that makes directories
 * of chains, so it does nothing else; where none is free for a job, an idle one of the other kind makes room.
 *
 * Jobs at a time take no more memory together than `maxBytes`. Each share has a turn after the others,
 * and of large jobs (`LARGE_BYTES`) one is done at a time: the other Workers are for those that wait
 * beside it.
 */
export class OpeningWorkers implements Disposable {
  readonly #options: WorkersOptions;
  readonly #members: readonly Member[];
  readonly #waiting = new TurnQueue<Job>();
  #heldBytes = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;
  /** Set while jobs wait that one more Worker could do. */
  #more: ReturnType<typeof setTimeout> | undefined;
  #isEnded = false;

  /** Starts no Worker yet. */
  constructor(options: WorkersOptions) {
    this.#options = options;
    const { size = Math.max(2, Math.min(4, navigator.hardwareConcurrency)) } =
      options;
    this.#members = Array.from(
      { length: size },
      () => ({
        ...{ worker: null, role: "layers", job: null, deadline: undefined },
      }),
    );
  }

  /** Number of Workers that are up. */
  get count(): number {
    return this.#members.filter(({ worker }) => worker !== null).length;
  }

  /** @throws OpeningError once it has ended. */
  assertOpen(): void {
    if (this.#isEnded) throw new OpeningError(ENDED);
  }

  /** Work is to be expected: a Worker is started if there is none, or a second one for much work. */
  wake(work: "some" | "much" = "some"): void {
    if (this.#isEnded) return;
    for (const member of this.#members) {
      if (this.count >= (work === "much" ? 2 : 1)) break;
      if (member.worker === null) this.#start(member, "layers");
    }
    this.#stopLater();
  }

  /**
   * Has a job done when its turn has come and there is room for it.
   * @param costBytes the memory it takes, at most.
   * @throws OpeningError, and what was thrown in the Worker
   */
  run(message: ToOpener, share: string, costBytes: number): Promise<Done> {
    this.assertOpen();
    const done = Promise.withResolvers<Done>();
    this.#waiting.push(share, { message, costBytes, done });
    this.#next();
    return done.promise;
  }

  #next(): void {
    const isFree = ({ job, worker }: Member) =>
      job === null && (worker !== null || this.count === 0);
    while (this.#members.some(isFree)) {
      if (!this.#beginNext()) return;
    }
    const more = this.#members.find(({ worker }) => worker === null);
    if (this.#waiting.size === 0 || more === undefined) return;
    this.#more ??= setTimeout(() => {
      this.#more = undefined;
      if (more.worker !== null || this.#beginNext()) this.#next();
    }, START_MS);
  }

  /** @returns false when there is no job that may be done now. */
  #beginNext(): boolean {
    const job = this.#waiting.next((job) => this.#hasRoom(job));
    if (job === undefined) return false;
    const role = ROLES[job.message.kind];
    const idle = this.#members.filter((member) => member.job === null);
    const member =
      idle.find((one) => one.worker !== null && one.role === role) ??
        idle.find(({ worker }) => worker === null) ?? idle[0]!;
    if (member.role !== role) this.#stop(member);
    this.#begin(member, job, role);
    return true;
  }

  /** Whether a job may be done beside those that are being done. */
  #hasRoom({ costBytes }: Job): boolean {
    const running = this.#members.flatMap(({ job }) => job ?? []);
    if (running.length === 0) return true;
    if (this.#heldBytes + costBytes > this.#options.maxBytes) return false;
    return costBytes <= LARGE_BYTES ||
      running.every((job) => job.costBytes <= LARGE_BYTES);
  }

  #begin(member: Member, job: Job, role: Role): void {
    const worker = member.worker ?? this.#start(member, role);
    member.job = job;
    this.#heldBytes += job.costBytes;
    member.deadline = setTimeout(
      () => this.#broken(member, `it took more than ${DEADLINE_MS / 1000} s`),
      DEADLINE_MS,
    );
    worker.post(job.message, buffersToOpener(job.message));
  }

  #start(member: Member, role: Role): Thread<ToOpener> {
    const { root } = this.#options;
    const message = (data: FromOpener) => {
      const job = this.#end(member);
      if (data.kind === "failed") job?.done.reject(errorOf(data.failure));
      else job?.done.resolve(data);
      this.#next();
      this.#stopLater();
    };
    const broken = (why: string) => {
      if (member.worker === worker) this.#broken(member, why);
    };
    const worker = openThread<ToOpener, FromOpener>(
      { name: `opener of ${role}`, start: () => startOpener(role, root) },
      { message, broken },
    );
    member.worker = worker;
    member.role = role;
    return worker;
  }

  /** Its job fails, and the next one gets a new Worker. */
  #broken(member: Member, why: string): void {
    this.#stop(member);
    this.#end(member)?.done.reject(
      new OpeningError(`the Worker that opened a layer was stopped: ${why}`),
    );
    this.#next();
  }

  #end(member: Member): Job | null {
    const { job } = member;
    clearTimeout(member.deadline);
    member.job = null;
    this.#heldBytes -= job?.costBytes ?? 0;
    return job;
  }

  #stop(member: Member): void {
    member.worker?.[Symbol.dispose]();
    member.worker = null;
  }

  #stopLater(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#members.some(({ job }) => job !== null)) return;
      for (const member of this.#members) this.#stop(member);
    }, this.#options.idleMs ?? IDLE_MS);
    Deno.unrefTimer(this.#idle);
  }

  /** Stops the Workers; what is being done fails, and what comes. */
  [Symbol.dispose](): void {
    this.#isEnded = true;
    clearTimeout(this.#idle);
    clearTimeout(this.#more);
    const ended = new OpeningError(ENDED);
    for (const member of this.#members) {
      this.#stop(member);
      this.#end(member)?.done.reject(ended);
    }
    for (const job of this.#waiting.drain()) job.done.reject(ended);
  }
}
