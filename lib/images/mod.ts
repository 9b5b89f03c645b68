/**
 * From an image's name to a running snapshot: which of its layers are served lazily, how a client pulls
 * one, and the snapshot service that containerd asks.
 *
 * It may use every wing below it. It must not know how a layer's bytes are found, checked or shown
 * (`lib/layers`), nor what a registry or containerd says on the wire (`lib/remote`).
 *
 * Rooms: `catalog` (which images containerd has), `lazy` (an image's layers are opened and served), `pulling` (a
 * client pulls an image into containerd), `snapshotter` (the gRPC face and its state), `replay` (load
 * orders are brought to open layers), `warmup` (the code runs before the first image comes).
 *
 * This file exports nothing: import each room by its own `mod.ts`.
 * @module
 */
export {};
