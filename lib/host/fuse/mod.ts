/**
 * The kernel's FUSE protocol over raw `/dev/fuse` (include/uapi/linux/fuse.h): the message codecs
 * and the loop that answers. `host/mounting` mounts. It knows nothing of images or layers: what is served is a
 * `FuseHandler`.
 *
 * Terms. The kernel names what it knows by 64-bit *nodeids* that we choose; here they are pairs of
 * 32-bit words, because the high and the low word mean different things to the file systems above. It
 * keeps three caches: dentries (name → nodeid, also "no such name"), attributes, and pages. What is
 * served here never changes, so all three may keep their entries for ever. There is no open state: OPEN
 * (unless the handler handles it) and OPENDIR are answered with ENOSYS once, and then the kernel no
 * longer sends them; nothing is remembered about an open file. So any process that holds the descriptor
 * can answer any request. A successor does not repeat INIT: what was negotiated holds for the mount's
 * life. It calls `requestResend` first, so that the kernel resends the requests that its predecessor
 * took and never answered.
 *
 * A `FuseLoop` belongs to one thread, sits in a blocking `read` and answers every request in place
 * from one reused buffer. A read whose bytes are not here yet is *deferred*: the handler keeps its
 * `unique` and someone else writes the reply later with `DeferredReplies`.
 * @module
 */
export {
  Attributes,
  DEFERRED,
  type EmitEntry,
  type FuseHandler,
  NodeId,
  ReadReply,
  StatFs,
} from "./handler.ts";
export { FuseLoop, type FuseLoopOptions, type Negotiated } from "./loop.ts";
export { negotiate } from "./negotiate.ts";
export { forgetCachedBytes } from "./cached_pages.ts";
export { canResend, requestResend } from "./resend.ts";
export { DeferredReplies } from "./reply.ts";
export { FOPEN, INTERRUPT_BIT, MAX_READ_BYTES } from "./protocol.ts";
