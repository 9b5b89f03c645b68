/**
 * Bytes in, bytes out: the formats of images, layers and indexes.
 *
 * It does no I/O and knows no clock, so everything here can be tested with bytes alone and run in a
 * Worker that has no permission. Its input is untrusted: every reader bounds the cost of input, and
 * refuses bad input with its own error class. It must not know where bytes come from or go to.
 *
 * Rooms: `oci` (digests, manifests, platforms), `reference` (names of images), `tar` (headers and offsets), `deflate` (inflate from
 * checkpoints), `zstd` (frames), `ztoc` (a layer's table of contents), `soci` (indexes, prefetch lists), `erofs` (images
 * of a tree's metadata), `crc32` (for isolates that load nothing of Node).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
