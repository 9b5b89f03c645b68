/**
 * The FUSE Worker, but it breaks down when it is told to: see `dying_workers.ts`.
 * @module
 */
/// <reference lib="deno.worker" />
import { libc } from "../../../lib/os/mod.ts";
import { LayerHandler } from "../../../lib/layerfs/handler.ts";
import "../../../lib/layerfs/worker.ts";

const NAME = new TextEncoder().encode("break-down");
let breaks = false;

const { lookup } = LayerHandler.prototype;
LayerHandler.prototype.lookup = function (parent, buffer, start, end, child) {
  const name = buffer.subarray(start, end);
  breaks = name.length === NAME.length && name.every((b, i) => b === NAME[i]);
  return lookup.call(this, parent, buffer, start, end, child);
};

const { read } = libc;
Object.defineProperty(libc, "read", {
  value: (...request: Parameters<typeof read>) => {
    const length = read(...request);
    // The request just taken is lost with this Worker.
    if (breaks) throw new Error("told to break down");
    return length;
  },
});
