import type { FuseHandler } from "./handler.ts";
import { FuseLoop, type Negotiated } from "./loop.ts";

/**
 * Answers INIT of a new mount, for loops that are to begin later. The kernel has asked it when the mount call
 * returns, and asks nothing else before it is answered.
 * @param fd `/dev/fuse` of the mount; stays the caller's.
 * @param xattrs as in `FuseLoopOptions`.
 * @throws OsError; Error when the mount is gone.
 */
export function negotiate(fd: number, xattrs: boolean): Negotiated {
  const agreed: Negotiated[] = [];
  const loop = new FuseLoop(fd, {} as FuseHandler, {
    xattrs,
    onNegotiated: (negotiated) => agreed.push(negotiated),
    isOver: () => agreed.length > 0,
  });
  loop.run();
  const [negotiated] = agreed;
  if (negotiated === undefined) {
    throw new Error("the mount was gone before the kernel began to ask");
  }
  return negotiated;
}
