/**
 * What lies elsewhere: registries, containerd, folders and archives with images, and what an image is there.
 *
 * It may use the network and `lib/host`. Everything it reads comes from outside: every length, count
 * and cost has a bound, and content is compared with its digest before it is given to anybody. It must
 * not know what the content is wanted for.
 *
 * Rooms: `image` (one image at a place), `registry` (the distribution client), `containerd` (its gRPC
 * services), `content` (one face for all places where content can be).
 *
 * The wing has no names of its own: each room is entered by its own `mod.ts`.
 * @module
 */
export {};
