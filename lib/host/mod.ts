/**
 * This machine: libc, files, mounts, the kernel's FUSE protocol, memory, and the hand-over from one
 * process to the next.
 *
 * It may touch the kernel; `os` alone calls libc. It must not know images, layers or formats: it could
 * serve any other file system as well.
 *
 * Rooms: `os` (calls into libc), `files` (files written whole, folders), `fuse` (the protocol),
 * `mounting` (mount, unmount, overlay), `mount_process` (the helper that it starts), `handover` (mounts outlive their process), `memory` (given back
 * to the machine), `threads` (Workers that are started where they start fast).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
