/** Makes long ztocs in a thread of its own: its garbage is not that of the thread that is watched. @module */
/// <reference lib="deno.worker" />
import { longZtoc } from "../support/images/mod.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = ({ data }: MessageEvent<number>) => {
  const ztoc = longZtoc(data, { bytes: new Uint8Array(1000 + data) });
  scope.postMessage(ztoc, [ztoc.buffer]);
};
