import { writeElsewhere } from "../os/mod.ts";
import { NOTIFY_INVAL_INODE, OUT_HEADER_BYTES } from "./protocol.ts";

/**
 * Makes the kernel forget all cached bytes of an inode, so that the next reader asks for them; also pages
 * that a process has mapped. Waits on another thread for reads of it that are under way, which somebody must
 * go on answering. An inode that the kernel does not know has nothing cached.
 */
export async function forgetCachedBytes(
  fd: number,
  { hi, lo }: { readonly hi: number; readonly lo: number },
): Promise<void> {
  const message = new Uint8Array(OUT_HEADER_BYTES + 24);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setInt32(4, NOTIFY_INVAL_INODE, true); // a notification: `unique` is 0
  view.setUint32(OUT_HEADER_BYTES, lo, true);
  view.setUint32(OUT_HEADER_BYTES + 4, hi, true);
  // Offset and length are 0: from the first byte to the last.
  await writeElsewhere(fd, message);
}
