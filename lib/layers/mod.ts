/**
 * One served layer: its tree, its spans, its folder on disk, and how the kernel is shown all that.
 *
 * It may touch the machine through `lib/host`, and it asks for bytes through interfaces of its own. It
 * must not know images, names, tags or snapshots: whoever opens a layer says where its bytes come from.
 *
 * Rooms: `serving` (the layers of a process, open and shut), `store` (their folders on disk), `fs`
 * (answers the kernel), `faces` (FUSE tree or EROFS image), `tree` (the compiled file tree), `spans`
 * (which bytes are here and how the rest comes), `presence` (the
 * byte that tells all isolates so), `builder` (a ztoc is made while bytes pass).
 *
 * The wing has no names of its own: each room is entered by its own `mod.ts`.
 * @module
 */
export {};
