/**
 * Bytes in, bytes out: the formats of images, layers and indexes.
 *
 * It does no I/O and knows no clock, so everything here can be tested with bytes alone and run in a
 * Worker that has no permission. What it reads comes from outside: every reader bounds what input can
 * cost, and refuses with an error of its own. It must not know where bytes come from or go to.
 *
 * Rooms: `oci` (digests, manifests, platforms), `tar` (headers and offsets), `deflate` (inflate from
 * checkpoints), `ztoc` (a layer's table of contents), `soci` (indexes, prefetch lists), `erofs` (images
 * of a tree's metadata).
 *
 * The wing has no names of its own: each room is entered by its own `mod.ts`.
 * @module
 */
export {};
