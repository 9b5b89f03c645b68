/**
 * A FUSE server with nothing behind it, to measure ours against.
 * @module
 */
import { mountFuse, setReadAhead } from "../../../lib/fuse/mod.ts";
import { closeFd, O, openFd, unmount } from "../../../lib/os/mod.ts";
import { type BaselineStart, BIG_BYTES } from "./tree.ts";

/** Mounts the imaginary tree; `big` is read from `bigFile`. */
export async function startBaseline(
  options: { mountpoint: string; bigFile: string; readAheadKb: number },
): Promise<AsyncDisposable> {
  const { mountpoint, bigFile, readAheadKb } = options;
  Deno.mkdirSync(mountpoint, { recursive: true });
  const fd = mountFuse({ mountpoint, source: "baseline" });
  const bigFd = openFd(bigFile, O.RDONLY);
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
  });
  await new Promise((resolve) => {
    worker.onmessage = resolve;
    worker.postMessage(
      { fd, bigFd, bigBytes: BIG_BYTES } satisfies BaselineStart,
    );
  });
  setReadAhead(mountpoint, readAheadKb);
  return {
    [Symbol.asyncDispose]() {
      unmount(mountpoint);
      closeFd(bigFd);
      closeFd(fd);
      return Promise.resolve();
    },
  };
}
