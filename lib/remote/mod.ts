/**
 * Places outside this program: registries, containerd, folders and archives with images; and the model
 * of an image there.
 *
 * It may use the network and `lib/host`. Everything it reads comes from outside: every length, count and
 * cost has a bound, and content is compared with its digest before it is passed on. It must not know
 * what the content is used for.
 *
 * Rooms: `image` (one image at a place), `registry` (the distribution client), `network` (what its requests go
 * through), `containerd` (its gRPC services), `content` (one interface to all places that hold content).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
