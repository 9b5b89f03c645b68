/**
 * One served layer: its tree, its spans, its folder on disk, and how all that is shown to the kernel.
 *
 * It may touch the machine through `lib/host`, and it fetches bytes through interfaces of its own. It
 * must not know images, names, tags or snapshots: the caller that opens a layer says where its bytes
 * come from.
 *
 * Rooms: `serving` (the open layers of a process), `store` (their folders on disk), `fs` (answers the
 * kernel), `faces` (FUSE tree or EROFS image), `tree` (the compiled file tree), `spans` (which bytes are
 * cached and how the others are fetched), `presence` (the byte that tells all isolates which spans are
 * present), `builder` (makes a ztoc from a stream), `whole` (the same, and writes the tar in passing).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
