/** Reads a file as a FUSE Worker does, as fast as it can, and compares. @module */
/// <reference lib="deno.worker" />
import { NodeId, ReadReply } from "../../../../lib/host/fuse/mod.ts";
import { RangeTable } from "../../../../lib/layers/presence/mod.ts";
import { LIBC_PATH } from "../../../../lib/host/os/mod.ts";
import { LayerHandler } from "../../../../lib/layers/fs/handler.ts";
import { RingItem } from "../../../../lib/layers/fs/shared/mod.ts";
import {
  ReadersAtWork,
  ReadTrace,
  RequestRing,
  SlotTable,
  SpanStarts,
} from "../../../../lib/layers/fs/shared/mod.ts";

const memory = Deno.dlopen(LIBC_PATH, {
  copyFrom: {
    name: "memcpy",
    parameters: ["buffer", "usize", "usize"],
    result: "usize",
  },
}).symbols;

/** What the Worker reads. */
export interface PunchReader {
  readonly layersDirectory: string;
  readonly slots: SharedArrayBuffer;
  readonly presence: SharedArrayBuffer;
  readonly starts: SharedArrayBuffer;
  readonly readers: SharedArrayBuffer;
  readonly slot: number;
  /** Of the file called `file` in the layer's root. */
  readonly expected: Uint8Array;
  readonly seconds: number;
}

/** What it saw. */
export interface PunchReport {
  /** Reads answered at once, and those handed over. */
  readonly served: number;
  readonly deferred: number;
  readonly wrong: number;
}

const READ_BYTES = 128 * 1024;
const scope = self as unknown as DedicatedWorkerGlobalScope;

scope.onmessage = ({ data }: MessageEvent<PunchReader>) => {
  const ring = new RequestRing(RequestRing.allocate(2));
  const slots = new SlotTable(data.slots);
  const handler = new LayerHandler({
    layersDirectory: data.layersDirectory,
    slots,
    presence: new Uint8Array(data.presence),
    starts: new SpanStarts(data.starts),
    uses: new Uint8Array(data.presence.byteLength),
    ranges: RangeTable.allocate(0),
    reads: new Uint32Array(data.presence.byteLength),
    ring,
    readers: new ReadersAtWork(data.readers),
    trace: new ReadTrace(ReadTrace.allocate(slots.rows)),
    worker: 0,
    mount: 0,
    directBlobs: false,
  });
  const root = new NodeId();
  root.hi = data.slot;
  root.lo = 1;
  const file = new NodeId();
  const name = new TextEncoder().encode("file");
  if (handler.lookup(root, name, 0, name.length, file) !== 0) {
    throw new Error("no such file");
  }
  const { expected } = data;
  const into = new Uint8Array(READ_BYTES);
  const reply = new ReadReply(into);
  let served = 0;
  let deferred = 0;
  let wrong = 0;
  const end = performance.now() + data.seconds * 1000;
  const handedOver = new RingItem();
  while (performance.now() < end) {
    const offset = Math.floor(Math.random() * (expected.length - READ_BYTES));
    reply.address = 0;
    const count = handler.read(file, offset, READ_BYTES, reply, 0, 0, 0);
    if (reply.address !== 0) { // as the kernel would
      memory.copyFrom(into, BigInt(reply.address), BigInt(READ_BYTES));
    }
    handler.answered();
    if (count !== READ_BYTES) {
      deferred++;
      ring.take(handedOver); // nobody answers it here
      continue;
    }
    served++;
    for (let at = 0; at < READ_BYTES; at += 509) {
      if (into[at] !== expected[offset + at]) {
        wrong++;
        break;
      }
    }
  }
  scope.postMessage({ served, deferred, wrong } satisfies PunchReport);
};
