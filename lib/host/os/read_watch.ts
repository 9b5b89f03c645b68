import { makePipe } from "./descriptors.ts";
import { callElsewhere } from "./elsewhere.ts";
import { closeFd } from "./files.ts";

const POLLIN = 1;
/** `struct pollfd`: descriptor, then events and returned events, 16 bits each. */
const POLLFD_BYTES = 8;
const FOR_EVER = -1;

/**
 * Waits until a descriptor can be read, or has an error to tell, on its own thread that sleeps in the kernel. So it
 * is noticed at once, and waiting costs nothing.
 */
export class ReadWatch implements AsyncDisposable {
  /** `stopped`: by `stop`, perhaps while it could be read already. */
  readonly over: Promise<"readable" | "stopped">;
  readonly #stop: () => void;

  /** Watches from now on. @param fd stays the caller's, and open until this is over. @throws OsError */
  constructor(fd: number) {
    const { readEnd, writeEnd } = makePipe();
    let stopped = false;
    this.#stop = () => {
      if (stopped) return;
      stopped = true;
      closeFd(writeEnd); // this wakes the waiting thread
    };
    this.over = wait(fd, readEnd).finally(() => {
      this.#stop();
      closeFd(readEnd);
    });
  }

  /** Ends the waiting; resolves when its thread is free. */
  async stop(): Promise<void> {
    this.#stop();
    await this.over;
  }

  /** As `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function wait(
  fd: number,
  stop: number,
): Promise<"readable" | "stopped"> {
  const polled = new Uint8Array(2 * POLLFD_BYTES);
  const view = new DataView(polled.buffer);
  [fd, stop].forEach((one, i) => {
    view.setInt32(i * POLLFD_BYTES, one, true);
    view.setInt16(i * POLLFD_BYTES + 4, POLLIN, true);
  });
  const told = (i: number) => view.getInt16(i * POLLFD_BYTES + 6, true) !== 0;
  // A signal ends the call early.
  while (!told(0) && !told(1)) {
    await callElsewhere("poll", polled, 2n, FOR_EVER);
  }
  return told(1) ? "stopped" : "readable";
}
