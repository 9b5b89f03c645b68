import { raise, writeSome } from "../os/mod.ts";
import type { Negotiated } from "./loop.ts";
import { HAS_RESEND, NOTIFY_RESEND, OUT_HEADER_BYTES } from "./protocol.ts";

/** Whether a mount's requests can be asked again, and so another process can take it over. */
export function canResend({ flags2 }: Negotiated): boolean {
  return (flags2 & HAS_RESEND) !== 0;
}

/**
 * Has the kernel ask again all that was asked on this descriptor and not answered. Whoever read
 * those requests must be gone, or its late answers meet requests that are no more (harmless: they
 * fail with ENOENT).
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
