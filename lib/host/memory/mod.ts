/**
 * Returns memory to the machine: configures the allocator for it, and drops the pages of the program's
 * own code while it is idle.
 *
 * It may use libc through `lib/host/os`. It must not know what the program does; it sees only when it is
 * idle, by what is told to an `Activity`.
 * @module
 */
export { Activity } from "./activity.ts";
export { collectEverything, freeBuffer } from "./collect.ts";
export { RestingWorker } from "./resting.ts";
export { ReusedBlocks } from "./reused.ts";
export {
  giveBackGarbage,
  giveBackWhenIdle,
  keepLargeBuffersApart,
} from "./idle.ts";
export { forgetProgram } from "./program.ts";
