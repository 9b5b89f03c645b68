/**
 * The FUSE Worker, but it breaks down when a name that begins with `break-down` was looked up: see `dying_workers.ts`.
 * @module
 */
/// <reference lib="deno.worker" />
import { libc } from "../../../lib/host/os/libc.ts";
import { LayerHandler } from "../../../lib/layers/fs/handler.ts";
import "../../../lib/layers/fs/worker.ts";

const NAME = new TextEncoder().encode("break-down");
let breaks = false;

const { lookup } = LayerHandler.prototype;
LayerHandler.prototype.lookup = function (parent, buffer, start, end, child) {
  const name = buffer.subarray(start, end);
  breaks = NAME.every((byte, at) => byte === name[at]);
  return lookup.call(this, parent, buffer, start, end, child);
};

const { readCount } = libc;
Object.defineProperty(libc, "readCount", {
  value: (...request: Parameters<typeof readCount>) => {
    const length = readCount(...request);
    // The request just taken is lost with this Worker.
    if (breaks) throw new Error("told to break down");
    return length;
  },
});
