/** Pushes numbered items into a ring, for shared_test.ts. @module */
/// <reference lib="deno.worker" />
import { RingItem } from "../../../../lib/layers/fs/shared/mod.ts";
import { RequestRing } from "../../../../lib/layers/fs/shared/mod.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = (
  { data }: MessageEvent<
    { memory: SharedArrayBuffer; mount: number; count: number }
  >,
) => {
  const ring = new RequestRing(data.memory);
  const item = new RingItem();
  item.mount = data.mount;
  for (let i = 0; i < data.count; i++) {
    item.uniqueLo = i;
    item.uniqueHi = data.mount;
    item.slot = i + 1;
    item.offset = i * 2 ** 33 + 7;
    item.length = i % 4096;
    ring.push(item);
  }
  scope.postMessage("done");
};
