/**
 * Memory that goes back to the machine: the allocator is told so, and the pages of the program's own code
 * are given up while there is nothing to do.
 *
 * It may use libc through `lib/host/os`. It must not know what the program does; it sees only that it
 * rests.
 * @module
 */
export { giveBackWhenIdle, keepLargeBuffersApart } from "./idle.ts";
