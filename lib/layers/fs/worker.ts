/**
 * A FUSE Worker: serves one mount, alone or with others, in a blocking loop until it is unmounted, or
 * the shared `EndMark` is set. Its
 * first message holds everything; it never reads another one.
 * @module
 */
/// <reference lib="deno.worker" />
import { collectEverything } from "../../host/memory/mod.ts";
import { FuseLoop, type Negotiated } from "../../host/fuse/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { LayerHandler } from "./handler.ts";
import { LoggedHandler, type SeenRequest } from "./logged_handler.ts";
import {
  EndMark,
  rangesIn,
  ReadersAtWork,
  ReadTrace,
  RequestRing,
  type SharedBuffers,
  SlotTable,
  SpanStarts,
} from "./shared/mod.ts";

/** First and only message to the Worker. */
export interface FuseWorkerStart {
  readonly fd: number;
  readonly mount: number;
  /** Whether extended attributes are served on this mount. */
  readonly xattrs: boolean;
  /** See `LayerHandlerOptions`. */
  readonly directBlobs: boolean;
  readonly layersDirectory: string;
  readonly shared: SharedBuffers;
  /** Number of this Worker in `readers`. */
  readonly worker: number;
  /** Whether it tells of every request. */
  readonly tellsRequests: boolean;
}

/**
 * From the Worker, in this order: it is loaded and waits for its message; it is about to serve; the
 * kernel has sent INIT (new mounts only); a request met an internal error, or was answered and is to be told; it is
 * done.
 */
export type FuseWorkerEvent =
  | { readonly kind: "loaded" }
  | { readonly kind: "serving" }
  | { readonly kind: "negotiated"; readonly negotiated: Negotiated }
  | { readonly kind: "fault"; readonly error: string }
  | { readonly kind: "request"; readonly request: SeenRequest }
  | { readonly kind: "stopped"; readonly error: string | null };

const send = answerThread<FuseWorkerStart, FuseWorkerEvent>((data) => {
  const { shared } = data;
  const handler = new LayerHandler({
    layersDirectory: data.layersDirectory,
    slots: new SlotTable(shared.slots),
    presence: new Uint8Array(shared.presence),
    starts: new SpanStarts(shared.starts),
    uses: new Uint8Array(shared.uses),
    ranges: rangesIn(shared.ranges),
    reads: new Uint32Array(shared.reads),
    ring: new RequestRing(shared.ring),
    readers: new ReadersAtWork(shared.readers),
    trace: new ReadTrace(shared.trace),
    worker: data.worker,
    mount: data.mount,
    directBlobs: data.directBlobs,
  });
  const end = new EndMark(shared.end);
  const served = data.tellsRequests
    ? new LoggedHandler(
      handler,
      (request) => send({ kind: "request", request }),
    )
    : handler;
  const loop = new FuseLoop(data.fd, served, {
    xattrs: data.xattrs,
    onNegotiated: (negotiated) => send({ kind: "negotiated", negotiated }),
    onFault: (error) => send({ kind: "fault", error: String(error) }),
    isOver: () => end.isSet,
  });
  send({ kind: "serving" });
  try {
    loop.run();
    send({ kind: "stopped", error: null });
  } catch (error) {
    send({ kind: "stopped", error: String(error) });
  }
  self.close();
});
send({ kind: "loaded" });
// What was made meanwhile is garbage; later, the loop makes none, and there is no time for it.
collectEverything();
