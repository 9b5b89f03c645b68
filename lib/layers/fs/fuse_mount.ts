import { setTimeout as pause } from "node:timers/promises";
import {
  MAX_READ_BYTES,
  negotiate,
  type Negotiated,
  requestResend,
} from "../../host/fuse/mod.ts";
import { mountFuse, unmount } from "../../host/mounting/mod.ts";
import { closeFd, OsError, ReadWatch } from "../../host/os/mod.ts";
import { logger } from "../../telemetry/mod.ts";
import type { Life } from "./life.ts";
import { MountWorker, type MountWorkerOwner } from "./mount_worker.ts";
import type { MountsState, MountsStep } from "./mounts_life.ts";
import type { EndMark, ReadersAtWork } from "./shared/mod.ts";
import type { FuseWorkerEvent, FuseWorkerStart } from "./worker.ts";

const log = logger("fuse");

/** How long the Workers may take to notice that their mount is gone, ms. */
const END_MS = 2_000;
/** How often Workers that shall end are woken, and how long one waking may take, ms. */
const END_TRIES = 100;
const END_TRY_MS = 100;

/** One of the file system's mounts, and everything that another process needs to serve it. */
export interface ServedMount {
  /** One of `MOUNT_NAMES`. */
  readonly name: string;
  /** Its directory. */
  readonly mountpoint: string;
  /** The descriptor that requests are read from. */
  readonly fd: number;
  /** What the kernel and the first process that served it agreed on. */
  readonly negotiated: Negotiated;
}

/** How a mount is set up. */
export interface FuseMountOptions {
  /** One of `MOUNT_NAMES`. */
  readonly name: string;
  /** Its directory; made when it is missing. */
  readonly mountpoint: string;
  /** A mount of an ended process, to be served from now on. */
  readonly taken: ServedMount | undefined;
  /** Numbers of its Workers among all of them. */
  readonly workers: readonly number[];
  /**
   * When its Workers are started: with the mount, or when the kernel asks for the first time. Then nothing here may
   * touch the mount on the main thread, which starts them.
   */
  readonly workersStart: "at once" | "when asked";
  /** Where the Workers announce that they are copying. */
  readonly readers: ReadersAtWork;
  /** Tells the Workers to end. */
  readonly end: EndMark;
  /** The Workers' start message, without the descriptor and their number. */
  readonly start: Omit<FuseWorkerStart, "fd" | "worker">;
  /** The life of all mounts. */
  readonly life: Life<MountsState, MountsStep>;
  /** Called for an internal error that a reader met; serving continues. */
  readonly onFault: (detail: string) => void;
}

/**
 * One mount, and the Workers that answer on its descriptor: the kernel gives each request to one of them.
 */
export class FuseMount implements MountWorkerOwner {
  readonly #options: FuseMountOptions;
  /** The descriptor that requests are read from; owned. */
  readonly fd: number;
  #workers: readonly MountWorker[] = [];
  /** Waits for the first request, where there is no Worker yet. */
  #watch: ReadWatch | null = null;
  readonly #negotiated = Promise.withResolvers<Negotiated>();

  /** Mounts, or takes over, and starts the Workers. @throws OsError, Deno's errors */
  constructor(options: FuseMountOptions) {
    const { mountpoint, taken } = options;
    this.#options = options;
    this.#negotiated.promise.catch(() => {}); // the callers that wait for it get the error
    if (taken === undefined) {
      Deno.mkdirSync(mountpoint, { recursive: true, mode: 0o755 });
      this.fd = mountFuse({
        mountpoint,
        source: "soci-deno",
        maxReadBytes: MAX_READ_BYTES,
      });
    } else {
      this.fd = taken.fd;
      this.#negotiated.resolve(taken.negotiated);
    }
    if (options.workersStart === "at once") this.#startWorkers();
  }

  #startWorkers(): void {
    this.#workers = this.#options.workers.map((number) =>
      new MountWorker(number, this)
    );
  }

  /** Resolves when all Workers are ready to begin; rejects if one cannot start. */
  async loaded(): Promise<void> {
    await Promise.all(this.#workers.map(({ loaded }) => loaded));
  }

  /** Begins to answer. @throws OsError when the kernel cannot resend the predecessor's open requests. */
  begin(): void {
    // Before anything is read here: a request that was read before the resend would be answered twice.
    if (this.#options.taken !== undefined) requestResend(this.fd);
    if (this.#options.workersStart === "when asked") this.#beginWhenAsked();
    for (const worker of this.#workers) this.#start(worker);
  }

  /** A mount may never be asked for anything, and a Worker takes memory: a sleeping thread waits in its place. */
  #beginWhenAsked(): void {
    const { taken, start: { xattrs }, life } = this.#options;
    if (taken === undefined) {
      this.#negotiated.resolve(negotiate(this.fd, xattrs));
    }
    this.#watch = new ReadWatch(this.fd);
    this.#watch.over.then((how) => {
      if (how === "stopped" || life.state !== "served") return;
      this.#startWorkers();
      for (const worker of this.#workers) {
        worker.loaded.then(() => {
          if (life.state === "served") this.#start(worker);
          else worker.terminate(); // a successor answers
        }, () => {}); // it was ended, or broke down and is replaced
      }
    });
  }

  /** Resolves when the Workers answer the kernel; rejects if the mount goes away before. */
  async served(): Promise<ServedMount> {
    await Promise.all(this.#workers.map(({ serving }) => serving));
    return await this.described();
  }

  /** What another process needs to serve it, once it is served. */
  async described(): Promise<ServedMount> {
    const { name, mountpoint } = this.#options;
    const negotiated = await this.#negotiated.promise;
    return { name, mountpoint, fd: this.fd, negotiated };
  }

  /** From now on, crashed Workers are not replaced. */
  letEnd(): void {
    this.#watch?.stop();
    for (const worker of this.#workers) worker.letEnd();
  }

  /** Gives up a mount that was never answered here, without unmounting it. */
  drop(): void {
    for (const worker of this.#workers) worker.terminate();
    closeFd(this.fd);
  }

  /** Unmounts lazily: processes inside keep the mount until they leave. @throws any error but OsError */
  unmount(): void {
    try {
      unmount(this.#options.mountpoint);
    } catch (error) {
      if (!(error instanceof OsError)) throw error; // someone unmounted it before us
    }
  }

  /**
   * Ends the Workers and closes the descriptor; the connection ends with it. Where a process keeps the mount, a Worker
   * may wait for its requests for ever, and nothing ends it: then the descriptor stays until this process ends. Its
   * number may not become another file's, which that Worker would read from and write to.
   * @param began whether they were told to begin.
   */
  async close({ began }: { readonly began: boolean }): Promise<void> {
    if (began) {
      await Promise.race([
        Promise.all(this.#workers.map(({ ended }) => ended)),
        new Promise((resolve) => setTimeout(resolve, END_MS)),
      ]);
    }
    const isUsed = this.#workers.some(({ usesDescriptor }) => usesDescriptor);
    await this.#terminate();
    await this.#watch?.stop();
    const { mountpoint } = this.#options;
    if (isUsed) log.warn("a mount is in use until the end", { mountpoint });
    else closeFd(this.fd);
    try {
      Deno.removeSync(mountpoint);
    } catch {
      // still busy below a lazy unmount: an empty folder stays behind
    }
  }

  /**
   * Ends the Workers of a mount that was left, so that this process can serve it anew. What they took and
   * did not answer the kernel sends again when it is.
   * @returns the mount; its descriptor is the caller's from now on.
   */
  async retire(): Promise<ServedMount> {
    const { end, mountpoint } = this.#options;
    end.set();
    await this.#watch?.stop();
    if (this.#workers.length === 0) return await this.described();
    const ended = Promise.all(this.#workers.map((worker) => worker.ended))
      .then(() => true);
    for (let tries = 0; tries < END_TRIES; tries++) {
      // Each is blocked until a request comes. No name that is asked for twice is answered from a cache.
      const asked = tryLookup(`${mountpoint}/end-${tries}`);
      if (await Promise.race([ended, asked, pause(END_TRY_MS, false)])) break;
    }
    // One that is in the midst of a request answers it, and ends by itself.
    await Promise.all(
      this.#workers.map((worker) =>
        worker.usesDescriptor ? null : worker.terminate()
      ),
    );
    return await this.described();
  }

  async #terminate(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(worker: MountWorker): void {
    const { start } = this.#options;
    worker.post({ ...start, fd: this.fd, worker: worker.number });
  }

  /** A crashed Worker was replaced; its readers have waited meanwhile. */
  onReplaced(worker: MountWorker): void {
    try {
      // Makes the kernel resend what the old Worker took and did not answer. Requests that other
      // Workers hold come twice; the kernel accepts the first answer and refuses the second.
      requestResend(this.fd);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#options.onFault(error.message);
    }
    this.#start(worker);
  }

  onTold(event: FuseWorkerEvent): void {
    // Only one Worker of a mount gets the kernel's INIT.
    if (event.kind === "negotiated") this.#negotiated.resolve(event.negotiated);
    else if (event.kind === "fault") this.#options.onFault(event.error);
    else if (event.kind === "request") {
      const { name: mount } = this.#options;
      log.info("request of the kernel", { mount, ...event.request });
    }
  }

  onBroken(why: string): "replace" | "end" {
    if (this.#options.life.state !== "served") return "end";
    this.#options.onFault(`Worker broke down: ${why}`);
    return "replace";
  }

  onGone(worker: MountWorker): void {
    this.#options.readers.abandon(worker.number);
  }

  onEnded(failure: Error): void {
    this.#negotiated.reject(failure);
  }
}

/** Has the kernel send a LOOKUP. */
async function tryLookup(path: string): Promise<false> {
  try {
    await Deno.lstat(path);
  } catch {
    // there is no such name, or the mount is gone
  }
  return false;
}
