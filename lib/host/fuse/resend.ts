import { raise, writeSome } from "../os/mod.ts";
import type { Negotiated } from "./loop.ts";
import { HAS_RESEND, NOTIFY_RESEND, OUT_HEADER_BYTES } from "./protocol.ts";

/** Whether the kernel can resend a mount's requests, so that another process can take it over. */
export function canResend({ flags2 }: Negotiated): boolean {
  return (flags2 & HAS_RESEND) !== 0;
}

/**
 * Makes the kernel resend all requests on this descriptor that were read but not answered. The process
 * that read them should be gone; late answers of it would fail with ENOENT, which is harmless.
 * @throws OsError EINVAL on a kernel that does not know it.
 */
export function requestResend(fd: number): void {
  const message = new Uint8Array(OUT_HEADER_BYTES);
  const view = new DataView(message.buffer);
  view.setUint32(0, OUT_HEADER_BYTES, true);
  view.setInt32(4, NOTIFY_RESEND, true); // a notification: `unique` is 0
  if (writeSome(fd, message, OUT_HEADER_BYTES) < 0) {
    raise("write FUSE_NOTIFY_RESEND", `descriptor ${fd}`);
  }
}
